"""What a worker has in memory: as much as its attempts need, within a bound in bytes."""

from collections import Counter

import pytest
from redis.asyncio import Redis
from support.eventually import eventually
from support.streams import Recorder, account, assert_balanced, delivering, event, served, settled

from gateway.delivery.claim import Claim
from gateway.delivery.read_ahead import (
    ENTRY_BYTES,
    FEW,
    LEAST_BYTES,
    MOST_ENTRIES,
    READY_BYTES,
    ReadAhead,
)
from gateway.store import keys
from gateway.store.entries import Entry
from gateway.store.taking.consumer_group import Acquired, Group


def claims(behind=range(keys.SHARDS)):
    found = [Claim(Group(shard, "sub")) for shard in range(keys.SHARDS)]
    for claim in found:
        claim.acquired(Acquired(1, b"0-0", 0), until=1e9, now_ms=0)
        claim.behind = claim.shard in behind
    return found


def entries(count, size):
    return [Entry(b"1-%d" % n, b"", b"x" * size) for n in range(count)]


def test_nothing_is_asked_for_until_half_is_missing():
    """As long as half of what may wait is there, another call would bring little."""
    ahead = ReadAhead(claims(), workers=1)
    ahead.read(entries(1, 1))
    assert ahead.wanted(ready=MOST_ENTRIES // 2 + 1) == 0
    assert ahead.grants(ready=MOST_ENTRIES // 2 + 1) == {}
    assert ahead.wanted(ready=MOST_ENTRIES // 2) == MOST_ENTRIES // 2


@pytest.mark.parametrize("workers", [1, 3, 1000])
@pytest.mark.parametrize("size", [10, 1_000, 20_000, 1_000_000])
def test_the_bound_is_in_bytes(size, workers):
    """However large events are and however many subscribers there are, what is asked for fits
    into the share of this one, but for a few entries that must always be possible.
    """
    ahead = ReadAhead(claims(), workers)
    ahead.read(entries(3, size))
    asked = sum(grant.entries for grant in ahead.grants(ready=0).values())
    bound = max(LEAST_BYTES, READY_BYTES // workers)
    assert 0 < asked <= max(16, bound // (size + ENTRY_BYTES))


def test_shards_that_are_behind_take_turns():
    """A round reads a few of them, and over many rounds none has had a turn less."""
    ahead = ReadAhead(claims(), workers=3)
    ahead.read(entries(1, 1000))
    turns = Counter()
    for _ in range(80):
        turns.update(ahead.grants(ready=100).keys())
    assert len(turns) == keys.SHARDS
    assert max(turns.values()) - min(turns.values()) <= 1


def test_a_shard_that_is_not_behind_does_not_wait_for_those_that_are():
    """Shards that have only rung are all read in the same round, beside those that are behind."""
    ahead = ReadAhead(claims(behind={0, 1, 2, 3}), workers=8)
    ahead.read(entries(1, 1000))
    grants = ahead.grants(ready=0)
    assert {4, 5, 6, 7} <= grants.keys()
    assert all(grants[shard].entries == FEW for shard in (4, 5, 6, 7))


async def test_a_backlog_waits_in_redis(engine_url, engine, publisher):
    """While a subscriber answers nothing, what is read of its backlog is bounded in bytes, for
    two subscribers as for one; once it answers, all of it arrives.
    """
    size, many = 1000, 6000
    recorders = {name: Recorder() for name in ("a", "b")}
    for recorder in recorders.values():
        recorder.gate.clear()
    everybody = [
        served(recorder, name=name, start="earliest", concurrency=16)
        for name, recorder in recorders.items()
    ]
    await publisher.publish(*(event(n, call=f"default:{n % 97}", size=size) for n in range(many)))
    async with delivering(engine_url, *everybody, ttl_s=6.0), Redis.from_url(engine_url) as redis:
        await eventually(lambda: all(one.running == 16 for one in recorders.values()))
        rounds = await _scripts_run(redis)
        # Twice as many as it takes to renew every lease once, which is done in rounds that read.
        await eventually(lambda: _has_run(redis, rounds + 4 * keys.SHARDS))
        held = {name: (await account(engine, name))["waiting"]["in_flight"] for name in recorders}
        for recorder in recorders.values():
            recorder.gate.set()
        for name in recorders:
            await settled(engine_url, name)
    share = READY_BYTES // 2 // (size + ENTRY_BYTES)
    assert all(share // 2 < count <= share + 16 for count in held.values()), held
    for recorder in recorders.values():
        assert len(set(recorder.bodies())) == len(recorder.bodies()) == many
    await assert_balanced(engine_url)


async def _has_run(redis, scripts):
    return await _scripts_run(redis) >= scripts


async def _scripts_run(redis):
    return (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
