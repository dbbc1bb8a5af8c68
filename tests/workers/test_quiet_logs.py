"""What the log says of starts and stops at which nothing is wrong."""

import json

import pytest
from support.engines import running_engine
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import RunningGateway
from support.stream_client import stream_client
from support.verdict import assert_nothing_lost

# What this machine has of files and memory is none of the test's business.
SMALL = {"max_connections": 100, "drain": "60s"}


def bad_lines(gateway):
    """What is no line of ours, or worse than an information."""
    lines = [line for line in gateway.log_text.splitlines() if line]
    return [
        line for line in lines if json.loads(line).get("level", "INFO") not in ("INFO", "DEBUG")
    ]


async def used(gateway, receiver, load, first):
    """Take webhooks, deliver them and have somebody watch."""
    await gateway.start()
    await gateway.up()
    async with stream_client(f"http://127.0.0.1:{gateway.port}", "anna") as anna:
        await anna.connect()
        said = await anna.ask("POST", "/video/call/default/room", {}, watching=True)
        assert said.status == 201, said.body
        await load.run(60, first=first)
        await assert_nothing_lost(gateway, load, receiver)
        await anna.socket.close()
    assert await gateway.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("redis", ["embedded", "external"])
async def test_a_normal_start_and_stop_warn_of_nothing(tmp_path, redis, workers):
    """The first one, and one with data: no WARNING, no ERROR, and nothing that is no log line."""
    async with running_engine(tmp_path / "e") as url, running_receiver() as receiver:
        subscriber = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
        gateway = RunningGateway(
            tmp_path / "g",
            {
                "redis": {"url": url} if redis == "external" else {"max_memory": "64MiB"},
                "retention": {"max_size": "8MiB"},
                "server": {**SMALL, "workers": workers},
                "feed": {"max_connections": 100, "access": "any"},
                "subscribers": [{**subscriber, "backlog": {"max_size": "8MiB"}}],
            },
        )
        load = Load(gateway.port)
        try:
            await used(gateway, receiver, load, first=0)
            await used(gateway, receiver, load, first=60)
        finally:
            await gateway.stop()
        assert bad_lines(gateway) == []


async def test_a_redis_that_is_not_there_is_told_and_that_it_is_back(tmp_path):
    """Somebody else's Redis that does not answer at the start is a warning, with what is wrong."""
    async with running_engine(tmp_path / "e") as url:
        pass
    gateway = RunningGateway(tmp_path / "g", {"redis": {"url": url}})
    await gateway.start()
    told = ("waiting for Redis", "Redis answers")
    try:
        await eventually(lambda: told[0] in gateway.log_text, within_s=60)
        async with running_engine(tmp_path / "e") as again:
            assert again == url
            await eventually(lambda: told[1] in gateway.log_text, within_s=60)
            lines = [json.loads(line) for line in gateway.log_text.splitlines() if line]
            levels = [(one["message"], one["level"]) for one in lines if one.get("message") in told]
            assert levels == [(told[0], "WARNING"), (told[1], "INFO")]
            await gateway.up()
            assert await gateway.stop() == 0
    finally:
        await gateway.stop()
