"""The doorbell rings for what is new, at once, and is silent otherwise."""

import asyncio

import pytest
from support.eventually import eventually
from support.streams import event

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.entries import NOTHING
from gateway.store.taking.doorbell import BellWaiter, Doorbell
from gateway.tasks import end

SHARD = keys.shard_of(event(0).order_key)


@pytest.fixture
async def doorbell(engine_url):
    engine = Engine(engine_url)
    doorbell = Doorbell(engine)
    task = asyncio.create_task(doorbell.run())
    yield doorbell
    await end([task])
    await engine.close()


async def rung(waiter, within_s=30.0):
    async with asyncio.timeout(within_s):
        await waiter.bell.wait()
    waiter.bell.clear()
    shards, waiter.rung = waiter.rung, set()
    return shards


async def test_it_rings_for_each_waiter_of_the_shard(doorbell, publisher):
    """All that wait at a shard are rung by one new entry, and nobody else."""
    waiters = [BellWaiter(asyncio.Event()) for _ in range(3)]
    other = BellWaiter(asyncio.Event())
    for waiter in waiters:
        doorbell.wait(waiter, SHARD, NOTHING)
    doorbell.wait(other, (SHARD + 1) % keys.SHARDS, NOTHING)
    await publisher.publish(event(0))
    for waiter in waiters:
        assert await rung(waiter) == {SHARD}
    assert not other.bell.is_set()


async def test_whoever_is_behind_is_rung_at_once(doorbell, publisher):
    """Waiting behind an entry that was noticed already rings without another."""
    early, late = BellWaiter(asyncio.Event()), BellWaiter(asyncio.Event())
    doorbell.wait(early, SHARD, NOTHING)
    await publisher.publish(event(0))
    await rung(early)
    doorbell.wait(late, SHARD, NOTHING)
    assert late.bell.is_set()


async def test_it_does_not_ring_for_what_was_there(doorbell, publisher):
    """Where nobody waits the bell goes to the end of the stream instead of ringing through it."""
    away = (SHARD + 1) % keys.SHARDS
    waiter = BellWaiter(asyncio.Event())
    await publisher.publish(*(event(n) for n in range(500)))
    doorbell.wait(waiter, away, NOTHING)
    await eventually(lambda: doorbell._noticed[SHARD] > NOTHING)
    noticed = doorbell._noticed[SHARD]
    await publisher.publish(event(500))
    await eventually(lambda: doorbell._noticed[SHARD] > noticed)
    assert not waiter.bell.is_set()
