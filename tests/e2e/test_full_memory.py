"""A gateway whose engine has little memory: a healthy subscriber never waits for room, and who
stands still does not cost what was accepted.
"""

import pytest
from support.commands import command
from support.control_groups import memory_group
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.verdict import assert_nothing_lost
from support.within import may_mount, running_within

SMALL = {"redis": {"url": "embedded", "max_memory": "49MiB"}}
BODY_BYTES = 30_000


async def warned(gateway, begins):
    """The warning of /readyz that begins so, once there is one."""

    async def found():
        for status in (200, 503):
            if (said := await gateway.ask("/readyz", status=status)) is not None:
                return next(
                    (one for one in said.get("warnings", []) if one.startswith(begins)), None
                )
        return None

    return await eventually(found, within_s=60)


def http(receiver):
    return [{"name": "app", "kind": "http", "url": receiver.url, "order": "call"}]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_healthy_subscriber_never_waits_for_room(tmp_path, workers):
    """History gives way to three times of what the engine has room for; it is told once."""
    more = {"server": {"workers": workers}, **SMALL}
    async with running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", subscribers=http(receiver), **more) as gateway:
            load = Load(gateway.port, size_bytes=BODY_BYTES)
            await load.run(2_400)
            await assert_nothing_lost(gateway, load, receiver)
            assert await gateway.metric('gateway_yielded_total{what="history"}') > 0
            ready = await eventually(lambda: gateway.ask("/readyz"), within_s=60)
            assert ready["reasons"] == []
            gives_way = await warned(
                gateway, "history gives way: the engine's memory is nearly full"
            )
            assert "raise the engine's memory (redis.max_memory" in gives_way
            assert await warned(gateway, "most of the engine's memory is held by: ")
            assert gateway.log_text.count("history gives way") == 1


async def test_what_waits_for_a_subscriber_fills_the_memory(tmp_path):
    """Then publishing waits in the journal, webhooks are still taken, /readyz says who holds the
    memory; and once the subscriber goes on, it gets everything.
    """
    async with running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", subscribers=http(receiver), **SMALL) as gateway:
            await gateway.up()
            assert (await command(gateway, "subscriber", "pause", "app"))[0] == 0
            await gateway.stop()
            await gateway.start()  # and so it knows of the pause
            await gateway.up()
            load = Load(gateway.port, size_bytes=BODY_BYTES)
            await load.run(1_200)
            assert set(load.statuses) == {200}

            async def told():
                found = await gateway.ask("/readyz", status=503)
                reasons = "\n".join(found["reasons"]) if found else ""
                return "most of it held by: what waits for app" in reasons and reasons

            reasons = await eventually(told, within_s=60)
            assert "the engine is full: webhooks are taken into the journal" in reasons
            assert (await gateway.ledger())["overall"]["in_journal"] > 0
            waits = await warned(gateway, "publishing waits in the journal")
            assert "gateway subscriber list" in waits
            held = await warned(gateway, "most of the engine's memory is held by: ")
            assert "what waits for app" in held
            assert (await command(gateway, "subscriber", "resume", "app"))[0] == 0
            await assert_nothing_lost(gateway, load, receiver)
            await eventually(lambda: gateway.ask("/readyz"), within_s=60)
            await eventually(lambda: "the engine has room again" in gateway.log_text)
            ready = await eventually(lambda: gateway.ask("/readyz"), within_s=60)
            assert "publishing waits" not in "".join(ready.get("warnings", []))
            assert gateway.log_text.count("the engine's memory is full") == 1
            assert gateway.log_text.count("the engine has room again") == 1


@pytest.mark.hard
@pytest.mark.skipif(not may_mount(), reason="only root makes control groups")
async def test_a_container_with_less_memory_than_the_default_wants(tmp_path):
    """The embedded engine takes what is left of 192 MiB, is told so, and nobody is killed for it:
    with default bounds, and three times as many events as there is room for.
    """
    async with running_receiver() as receiver:
        with memory_group(192 << 20) as group:
            script = f'echo $$ > {group}/cgroup.procs\nexec "$@"'
            more = {"subscribers": http(receiver)}
            async with running_within(tmp_path / "g", script, **more) as gateway:
                await gateway.up()
                engine = gateway.engine_pid()
                load = Load(gateway.port, size_bytes=BODY_BYTES)
                await load.run(12_000)
                await assert_nothing_lost(gateway, load, receiver, within_s=120)
                assert gateway.engine_pid() == engine
                assert await gateway.metric('gateway_yielded_total{what="history"}') > 0
                said = "redis.max_memory does not fit into the memory that this container may use"
                assert gateway.log_text.count(said) == 1
                assert '"max_memory":"128 MiB"' in gateway.log_text
