"""Several processes deliver to one subscriber: each has its share of the shards."""

import asyncio
import math
from contextlib import AsyncExitStack

import pytest
from redis.asyncio import Redis
from support.eventually import eventually
from support.streams import Recorder, TestPublisher, delivering, event, served, settled

from gateway.delivery.sharing import share
from gateway.store import keys

SHARDS = range(keys.SHARDS)


@pytest.mark.parametrize("count", range(1, 12))
def test_shares_are_even_and_whole(count):
    """Every shard is exactly one holder's, and nobody has more than one above anybody else."""
    holders = [f"holder{n}" for n in range(count)]
    for name in ("app", "console", "x"):
        shares = [share(name, one, holders, SHARDS) for one in holders]
        assert sorted(shard for one in shares for shard in one) == list(SHARDS)
        sizes = [len(one) for one in shares]
        assert max(sizes) <= math.ceil(len(SHARDS) / count)
        assert min(sizes) >= len(SHARDS) // count


def test_who_is_not_listed_yet_has_a_share():
    """A holder counts itself."""
    assert share("app", "new", ["old"], SHARDS) | share("app", "old", ["new"], SHARDS) == set(
        SHARDS
    )
    assert share("app", "alone", [], SHARDS) == set(SHARDS)


async def holders_of(url):
    """Who holds each shard of `sub` just now."""
    redis = Redis.from_url(url)
    try:
        found = [await redis.hget(keys.subscription(shard, "sub"), "holder") for shard in SHARDS]
    finally:
        await redis.aclose()
    return [(one or b"").decode() for one in found]


async def spread(url, *holders):
    """Wait until these hold all shards, evenly."""

    async def done():
        found = await holders_of(url)
        counts = [found.count(one) for one in holders]
        return sum(counts) == len(SHARDS) and max(counts) - min(counts) <= 1

    await eventually(done, within_s=60)


async def test_shards_are_handed_over_under_load_without_a_repeat(engine_url):
    """A second and a third holder get their share from those before, and give it back when they
    leave; meanwhile every event is delivered once, in the order of its call.
    """
    recorder, sent, stop = Recorder(), 0, asyncio.Event()
    publisher = TestPublisher(engine_url)

    async def send():
        nonlocal sent
        while not stop.is_set():
            calls = [event(sent + n, call=f"default:{n}") for n in range(16)]
            await publisher.publish(*calls)
            sent += len(calls)
            await asyncio.sleep(0.002)

    def one(holder):
        return delivering(
            engine_url, served(recorder, order="call"), holder=holder, ttl_s=60.0, poll_s=0.1
        )

    async with one("a"):
        sending = asyncio.create_task(send())
        await spread(engine_url, "a")
        async with one("b"):
            await spread(engine_url, "a", "b")
            async with one("c"):
                await spread(engine_url, "a", "b", "c")
            await spread(engine_url, "a", "b")
        await spread(engine_url, "a")
        stop.set()
        await sending
        account = await settled(engine_url)
    await publisher.close()
    assert account["delivered"] == sent == len(recorder.delivered)
    assert account["repeats"] == 0
    by_call = {}
    for attempt in recorder.delivered:
        by_call.setdefault(attempt.meta.call_cid, []).append(attempt.body)
    for bodies in by_call.values():
        numbers = [int(body.split(b'"n":')[1].split(b"}")[0]) for body in bodies]
        assert numbers == sorted(numbers)


async def test_who_crashes_is_replaced_after_its_lease(engine_url):
    """The others have its share once its leases are over, and all is delivered."""
    recorder, publisher = Recorder(), TestPublisher(engine_url)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            delivering(engine_url, served(recorder), holder="stays", ttl_s=2.0)
        )
        async with delivering(
            engine_url, served(recorder), holder="crashes", ttl_s=2.0, crash=True
        ):
            await spread(engine_url, "stays", "crashes")
        await publisher.publish(*(event(n, call=f"default:{n}") for n in range(64)))
        await settled(engine_url)
        await spread(engine_url, "stays")
    await publisher.close()
