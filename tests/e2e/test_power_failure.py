"""The machine dies and the journal's disk has less than Redis: the shipped command, and counting."""

import asyncio
import os
import signal

import pytest
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.servers import one_redis


def journal_files(gateway):
    return sorted((gateway.data / "journal" / "0").glob("*.journal"))


def biggest(gateway):
    return max(journal_files(gateway), key=lambda path: path.stat().st_size)


def cut_in_half(path):
    """The disk has lost the end of it."""
    os.truncate(path, path.stat().st_size // 2)


def zero_the_end(path):
    """The file is as long as it was and longer, and ends in zeros."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\0" * size)


@pytest.mark.parametrize("starts", first(3, 1))
@pytest.mark.parametrize("how", first("SIGTERM", "SIGKILL"))
@pytest.mark.parametrize("damage", first(cut_in_half, zero_the_end))
async def test_what_was_taken_before_redis_was_reached(tmp_path, damage, how, starts):
    """Power fails, and Redis has the end that the journal's disk lost. The gateway starts, answers
    webhooks with 200 while Redis is not reached, and is stopped, once or more often: all of that is
    delivered once, and the ledger counts what is true.
    """
    async with (
        one_redis(tmp_path / "r", "appendfsync always") as redis,
        running_receiver() as receiver,
    ):
        config = {
            "redis": {"url": f"redis://127.0.0.1:{redis.port}", "timeout": "500ms"},
            "server": {"drain": "1s"},
            "subscribers": [{"name": "app", "kind": "http", "url": receiver.url}],
        }
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            await load.run(40)
            await gateway.settled()
            await gateway.kill()
            redis.signal(signal.SIGSTOP)
            damage(biggest(gateway))
            for start in range(starts):
                await gateway.start()
                await load.run(10, first=100 * (start + 1))
                if how == "SIGTERM":
                    assert await gateway.stop() == 0
                    assert '"left_in_journal":"unknown' in gateway.log_text
                    assert '"left_in_journal":0' not in gateway.log_text
                else:
                    await gateway.kill()
            redis.signal(signal.SIGCONT)
            await gateway.start()
            await load.run(5, first=9000)
            ledger = await gateway.settled()
            assert set(load.statuses) == {200}
            assert sorted(receiver.bodies) == sorted(load.acked)  # none missing, none twice
            assert ledger["overall"]["published"] == len(load.acked)
            assert ledger["overall"]["accepted"] == len(load.acked)
            assert ledger["overall"]["balance"] == 0
            assert await eventually(lambda: gateway.ask("/readyz"), within_s=30)


async def test_nothing_is_acknowledged_that_no_replica_has(tmp_path):
    """With `{replicated: 1}`, a 200 that is given right when the journal's name changes after a
    power failure means what it says: Redis and its replica have the event.
    """
    async with (
        one_redis(tmp_path / "r", "appendfsync always") as redis,
        one_redis(tmp_path / "replica", "appendfsync always") as replica,
        running_receiver() as receiver,
    ):
        await replica.client.execute_command("REPLICAOF", "127.0.0.1", redis.port)
        await eventually(lambda: redis.has_replicas(1), within_s=60)
        config = {
            "redis": {"url": f"redis://127.0.0.1:{redis.port}", "timeout": "500ms"},
            "ingest": {"ack": {"replicated": 1}},
            "subscribers": [{"name": "app", "kind": "http", "url": receiver.url}],
        }
        async with running_gateway(tmp_path / "g", **config) as gateway:
            await gateway.up()
            load = Load(gateway.port)
            await load.run(40)
            await gateway.settled()
            await gateway.kill()
            redis.signal(signal.SIGSTOP)
            cut_in_half(biggest(gateway))
            await gateway.start()
            more = Load(gateway.port)
            sending = asyncio.create_task(more.run(200, first=100, connections=16))
            await eventually(lambda: gateway.metric("gateway_journal_waiting"), within_s=60)
            assert not more.acked
            redis.signal(signal.SIGCONT)
            await eventually(lambda: more.acked, within_s=60)
            acked = set(more.acked)
            assert acked <= await bodies_in(redis)
            assert acked <= await bodies_in(replica)
            await sending
            ledger = await gateway.settled()
            assert {*load.acked, *more.acked} <= set(receiver.bodies)
            assert ledger["overall"]["balance"] == 0


async def bodies_in(server):
    found = set()
    for shard in range(8):
        entries = await server.client.xrange(f"gw:{{{shard}}}:events")
        found |= {fields[b"b"] for _, fields in entries}
    return found
