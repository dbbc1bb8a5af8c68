"""A data_dir that lives twice: copied, restored from a snapshot, opened by two at once."""

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import RunningGateway, running_gateway
from support.servers import one_redis

from gateway.store import keys


def settings(redis, receiver, **more):
    return {
        "redis": {"url": f"redis://127.0.0.1:{redis.port}", "lease": "3s"},
        "subscribers": [
            {"name": "app", "kind": "http", "url": receiver.url, "order": "call"},
        ],
        **more,
    }


def copied(gateway, folder):
    """Another machine with what the first one's disk holds, ready to start."""
    shutil.copytree(gateway.data, folder / "data")
    return running_gateway(
        folder,
        **{
            key: gateway.config[key]
            for key in ("redis", "subscribers", "ingest", "server")
            if key in gateway.config and key != "server"
        },
    )


async def leases(redis):
    """Who has each lease, and under which token."""
    return [
        await redis.client.hmget(keys.subscription(shard, "app"), "holder", "token")
        for shard in range(keys.SHARDS)
    ]


async def together(one, other):
    """The ledgers of two gateways, once nothing waits: each adds up."""
    for gateway in (one, other, one, other):
        ledger = await gateway.settled()
        assert ledger["overall"]["balance"] == 0
    return ledger


@pytest.mark.parametrize("ack", first("journal", "redis", {"replicated": 1}))
@pytest.mark.parametrize("when", first("before its last start", "while it runs"))
async def test_two_gateways_on_copies_of_one_journal(tmp_path, ack, when):
    """Both take webhooks and both are ready: all that either acknowledged is delivered, once; one
    of them says in words that it has a new name.
    """
    async with one_redis(tmp_path / "r") as redis, running_receiver() as receiver:
        async with replica_of(redis, tmp_path / "replica", wanted=isinstance(ack, dict)):
            config = settings(redis, receiver, ingest={"ack": ack})
            async with running_gateway(tmp_path / "a", **config) as one:
                loads = Load(one.port), None
                await loads[0].run(50)
                await one.settled()
                if when == "before its last start":
                    await one.stop()
                    twin = copied(one, tmp_path / "b")
                    await one.start()
                    await one.up()
                else:
                    twin = copied(one, tmp_path / "b")
                async with twin as other:
                    await other.up()
                    here, there = loads[0], Load(other.port, name="other")
                    await asyncio.gather(here.run(400, first=1000), there.run(400, first=5000))
                    ledger = await together(one, other)
                    acked = [*here.acked, *there.acked]
                    assert sorted(receiver.bodies) == sorted(acked)
                    assert ledger["overall"]["published"] == len(acked)
                    said = [one.log_text, other.log_text]
                    assert sum("under a new name" in text for text in said) == 1
                    assert await one.ask("/readyz")
                    assert await other.ask("/readyz")
                    # And after a restart of both.
                    await one.stop()
                    await other.stop()
                    await one.start()
                    await other.start()
                    await together(one, other)
                    assert sorted(receiver.bodies) == sorted(acked)
                    said = [one.log_text, other.log_text]
                    assert sum(text.count("under a new name") for text in said) == 1


@asynccontextmanager
async def replica_of(redis, folder, *, wanted):
    if not wanted:
        yield None
        return
    async with one_redis(folder) as replica:
        await replica.client.execute_command("REPLICAOF", "127.0.0.1", redis.port)
        await eventually(lambda: redis.has_replicas(1), within_s=60)
        yield replica


@pytest.mark.parametrize("when", first("before its last start", "while it runs"))
async def test_leases_do_not_change_hands_all_the_time(tmp_path, when):
    """With traffic to only one of the two nothing is delivered more than once, and once the other
    has its share no lease changes hands any more.
    """
    async with one_redis(tmp_path / "r") as redis, running_receiver() as receiver:
        async with running_gateway(tmp_path / "a", **settings(redis, receiver)) as one:
            load = Load(one.port)
            await load.run(50)
            await one.settled()
            if when == "before its last start":
                await one.stop()
                twin = copied(one, tmp_path / "b")
                await one.start()
            else:
                twin = copied(one, tmp_path / "b")
            async with twin as other:
                await one.up()
                await other.up()
                await eventually(lambda: shared(redis), within_s=60)
                before = await leases(redis)
                await load.run(250, first=1000)
                await together(one, other)
                assert sorted(receiver.bodies) == sorted(load.acked)
                assert await leases(redis) == before


async def shared(redis):
    """Whether two holders have the leases, half of them each."""
    holders = [holder for holder, _ in await leases(redis)]
    names = set(holders) - {b""}
    return len(names) == 2 and all(holders.count(one) == keys.SHARDS // 2 for one in names)


async def test_one_folder_and_two_hands(tmp_path):
    """A volume without locks: who came first notices within moments, answers 503 and says why; what
    it had acknowledged is delivered, and nothing of the other's is lost.
    """
    async with one_redis(tmp_path / "r") as redis, running_receiver() as receiver:
        async with running_gateway(tmp_path / "a", **settings(redis, receiver)) as one:
            await one.up()
            load = Load(one.port)
            await load.run(50)
            config = {**settings(redis, receiver), "data_dir": str(one.data)}
            (one.data / "gateway.lock").unlink()  # another kernel's lock says nothing
            sending = asyncio.create_task(load.run(100_000, first=1000, connections=4))
            other = RunningGateway(tmp_path / "b", config)
            try:
                await other.start()
                await eventually(lambda: load.statuses[503], within_s=30)
                load.stop = True
                await sending
                assert one.log_text.count("another process has opened this journal") == 1
                said = await one.ask("/readyz", status=503)
                assert "another process has opened this journal" in str(said)
                there = Load(other.port, name="other")
                await there.run(100, first=500_000)
                assert set(there.statuses) == {200}
                await together(one, other)
                acked = [*load.acked, *there.acked]
                await eventually(lambda: set(acked) <= set(receiver.bodies), within_s=60)
                assert len(receiver.bodies) == len(set(receiver.bodies))
                await one.kill()
                await other.stop()
                await other.start()
                await other.settled()
                assert set(acked) <= set(receiver.bodies)
            finally:
                await other.stop()
