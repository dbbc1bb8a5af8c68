"""A Sentinel set and a Cluster under load: masters die, tails are lost, slots move."""

import asyncio
import contextlib
import signal
from contextlib import asynccontextmanager

import pytest
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.moving_name import moving_name
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.servers import LONG_MS, SOON_MS, cluster, cut_off, replicated, sentinel_set
from support.verdict import assert_nothing_lost

from gateway.engine.cluster import slot_of
from gateway.store import keys

# A dozen processes: one such test at a time.
pytestmark = pytest.mark.xdist_group("servers")


class Installation:
    """`victim` is a master, `heirs` its replicas."""

    def __init__(self, servers, victim, heirs):
        self.url, self._servers = servers.url, servers
        self.victim, self.heirs = victim, heirs

    async def inherit(self):
        """Have the victim replaced, and nobody else."""
        await self._servers.replaces_after(SOON_MS)
        await eventually(self._is_inherited, within_s=120)
        await self._servers.replaces_after(LONG_MS)

    async def _is_inherited(self):
        return "master" in [await one.role() for one in self.heirs]


@asynccontextmanager
async def installation(kind, folder):
    if kind == "sentinel":
        async with sentinel_set(folder) as found:
            yield Installation(found, found.servers[0], found.servers[1:])
    else:
        async with cluster(folder) as found:
            yield Installation(found, found.masters[0], found.replicas[:1])


def settings(url, receiver, ack="journal"):
    return {
        "redis": {"url": url, "timeout": "2s"},
        "ingest": {"ack": ack},
        "subscribers": [{"name": "app", "kind": "http", "url": receiver.url, "order": "call"}],
    }


async def published(gateway):
    ledger = await gateway.ledger()
    return ledger and not ledger["overall"]["in_journal"]


@pytest.mark.parametrize("kind", first("sentinel", "cluster"))
@pytest.mark.parametrize("ack", first("journal", "redis"))
async def test_a_master_is_killed_under_load(tmp_path, kind, ack):
    """Webhooks are answered 200 all through a failover, and nothing acknowledged is lost."""
    async with installation(kind, tmp_path / "r") as redis, running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", **settings(redis.url, receiver, ack)) as gateway:
            load = Load(gateway.port, pause_s=0.005)
            sending = asyncio.create_task(load.run(1_000_000))
            await eventually(lambda: len(load.acked) > 500, within_s=60)
            await redis.victim.kill()
            before = len(load.acked)
            await eventually(lambda: len(load.acked) > before + 100)  # while there is no master
            await redis.inherit()
            await eventually(lambda: gateway.is_up(), within_s=60)
            back = len(load.acked)
            await eventually(lambda: len(load.acked) > back + 300, within_s=60)
            load.stop = True
            await sending
            await assert_nothing_lost(gateway, load, receiver)
            assert set(load.statuses) == {200}


@pytest.mark.parametrize("kind", first("cluster", "sentinel"))
async def test_a_failover_that_loses_the_tail_is_healed_from_the_journal(tmp_path, kind):
    """What only the dead master had is published anew, before anything newer; some deliveries
    repeat, and they are counted.
    """
    async with installation(kind, tmp_path / "r") as redis, running_receiver() as receiver:
        async with running_gateway(
            tmp_path / "g", **settings(redis.url, receiver, "redis")
        ) as gateway:
            load = Load(gateway.port)
            await load.run(500)
            await gateway.settled()
            await cut_off(redis.victim, redis.heirs)
            await load.run(400, first=500)  # acknowledged by the master, which will be alone
            await eventually(lambda: len(set(receiver.bodies)) == 900, within_s=60)
            await redis.victim.kill()
            for heir in redis.heirs:
                heir.signal(signal.SIGCONT)
            await load.run(300, first=900)
            await redis.inherit()
            await eventually(lambda: "healing from the journal" in gateway.log_text, within_s=60)
            repeats = await assert_nothing_lost(gateway, load, receiver)
            assert len(load.acked) == 1200
            assert 0 < repeats <= 400
            assert await gateway.metric("gateway_publisher_rewinds_total") > 0
            assert await repeats_told(gateway) >= repeats


async def repeats_told(gateway):
    """What was published again, and what was read again although nothing of it was lost."""
    healed = await gateway.metric("gateway_publisher_healed_total")
    with contextlib.suppress(RuntimeError):  # a metric that has not counted yet is not there
        healed += await gateway.metric('gateway_delivery_repeats_total{subscriber="app"}')
    return healed


@pytest.mark.hard
async def test_a_master_is_frozen_over_its_own_failover(tmp_path):
    """One that wakes as a master beside its successor may be given events until it is demoted:
    they are healed from the journal, and nothing is lost.
    """
    async with sentinel_set(tmp_path / "r") as redis, running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", **settings(redis.url, receiver)) as gateway:
            load = Load(gateway.port, pause_s=0.005)
            sending = asyncio.create_task(load.run(1_000_000))
            await eventually(lambda: len(load.acked) > 300, within_s=60)
            redis.servers[0].signal(signal.SIGSTOP)
            await redis.replaces_after(SOON_MS)
            master = await eventually(redis.new_master, within_s=120)
            await redis.replaces_after(LONG_MS)
            await eventually(lambda: gateway.is_up(), within_s=60)
            back = len(load.acked)
            redis.servers[0].signal(signal.SIGCONT)
            await eventually(lambda: is_replica(redis.servers[0]), within_s=60)
            await eventually(lambda: len(load.acked) > back + 300, within_s=60)
            load.stop = True
            await sending
            await assert_nothing_lost(gateway, load, receiver)
            assert await master.role() == "master"
            assert set(load.statuses) == {200}


async def is_replica(server):
    return await server.role() == "slave"


@pytest.mark.hard
async def test_a_slot_moves_under_load(tmp_path):
    """ASK, TRYAGAIN and MOVED on the way: nothing is lost, nothing comes twice."""
    async with cluster(tmp_path / "r") as redis, running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", **settings(redis.url, receiver)) as gateway:
            load = Load(gateway.port, pause_s=0.005)
            sending = asyncio.create_task(load.run(1_000_000))
            await eventually(lambda: len(load.acked) > 500, within_s=60)
            for shard in range(3):
                slot = slot_of(keys.events(shard))
                source = await redis.holder(slot)
                target = next(one for one in redis.masters if one is not source)
                await redis.move_slot(slot, source, target)
                back = len(load.acked)
                await eventually(lambda back=back: len(load.acked) > back + 100, within_s=60)
            load.stop = True
            await sending
            repeats = await assert_nothing_lost(gateway, load, receiver)
            assert repeats == 0
            assert set(load.statuses) == {200}


async def test_a_name_comes_to_mean_another_server(tmp_path):
    """One address, as hosted services give, behind which a replica takes over while the old master
    lives on as its replica, and hangs up on nobody: what it refuses is taken to who is there now.
    """
    async with replicated(tmp_path / "r", 1) as (old, new), running_receiver() as receiver:
        async with moving_name(old.port) as name:
            async with running_gateway(tmp_path / "g", **settings(name.url, receiver)) as gateway:
                load = Load(gateway.port, pause_s=0.005)
                sending = asyncio.create_task(load.run(1_000_000))
                await eventually(lambda: len(load.acked) > 300, within_s=60)
                await new.client.execute_command("REPLICAOF", "NO", "ONE")
                name.port = new.port
                await old.client.execute_command("REPLICAOF", "127.0.0.1", new.port)
                moved = len(load.acked)
                await eventually(lambda: len(load.acked) > moved + 300, within_s=60)
                load.stop = True
                await sending
                await eventually(lambda: set(load.acked) <= set(receiver.bodies), within_s=60)
                await assert_nothing_lost(gateway, load, receiver)
                assert set(load.statuses) == {200}
