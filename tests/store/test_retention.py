"""Trimming and expiry: bounds are kept, and nothing unsettled goes."""

from dataclasses import replace

from support.streams import Recorder, delivering, event, served, settled

from gateway.options import RetentionOptions
from gateway.store import keys
from gateway.store.scripts import call
from gateway.store.taking.consumer_group import Group
from gateway.store.taking.dead_letters import DeadLetters
from gateway.store.taking.holders import Holder
from gateway.store.taking.settling import Settling
from gateway.store.taking.subscriptions import Subscriptions
from gateway.store.upkeep.retention import Janitor
from gateway.subscribers.outcome import Failed, Reason

SHARD = keys.shard_of(event(0).order_key)


async def kept(redis):
    return await redis.xlen(keys.events(SHARD))


async def read_some(engine, name, count, settle):
    """Join, take `count` and settle the first `settle` of them."""
    group = Group(SHARD, name)
    await call(engine, group.join("earliest"))
    token = (await call(engine, group.acquire(Holder("me"), 10_000))).token
    entries = (await call(engine, group.take(token, count, 1 << 20))).entries
    await call(engine, group.settle(token, Settling(delivered=[e.id for e in entries[:settle]])))


async def test_history_beyond_its_time_goes(engine, publisher, redis):
    """Without subscribers everything older than the history goes, but for the last entry."""
    await publisher.publish(*(event(n) for n in range(100)))
    await Janitor(engine, RetentionOptions(history_s=3600)).sweep()
    assert await kept(redis) == 100
    await Janitor(engine, RetentionOptions(history_s=-1)).sweep()
    assert await kept(redis) == 1
    assert await redis.hget(keys.shard_state(SHARD), "trimmed") == b"99"


async def test_nothing_goes_that_a_group_has_not_settled(engine, publisher, redis):
    """The slowest group decides, by its lowest pending entry or by what it has not read."""
    await publisher.publish(*(event(n) for n in range(100)))
    await read_some(engine, "fast", 100, 100)
    await read_some(engine, "unread", 60, 60)
    await read_some(engine, "pending", 80, 40)
    await Janitor(engine, RetentionOptions(history_s=-1, max_bytes=0)).sweep()
    assert await kept(redis) == 60
    await redis.execute_command("XGROUP", "DESTROY", keys.events(SHARD), "pending")
    await Janitor(engine, RetentionOptions(history_s=-1)).sweep()
    assert await kept(redis) == 41  # entry 60, the last that `unread` has settled, and behind


async def test_while_a_known_group_is_missing_nothing_goes(engine, publisher, redis):
    """A group destroyed behind our back will be made anew: its entries are not trimmed."""
    await Subscriptions(engine).register("sub")
    await publisher.publish(*(event(n) for n in range(100)))
    await read_some(engine, "sub", 10, 10)
    await redis.execute_command("XGROUP", "DESTROY", keys.events(SHARD), "sub")
    await Janitor(engine, RetentionOptions(history_s=-1)).sweep()
    assert await kept(redis) == 100


async def test_history_beyond_its_bytes_goes(engine, publisher, redis):
    """Beyond the bound in bytes the oldest history goes, to within what one millisecond holds."""
    sent = [event(n, size=1000) for n in range(400)]
    for n in range(0, 400, 10):
        await publisher.publish(*sent[n : n + 10])
    size = len(sent[0].meta) + len(sent[0].body)
    options = RetentionOptions(max_bytes=100 * size * keys.SHARDS)
    await Janitor(engine, options).sweep()
    assert 60 <= await kept(redis) <= 101


async def test_a_history_longer_than_time_itself_is_bounded_in_bytes(engine, publisher, redis):
    """The longest duration that can be configured keeps everything, within the bound in bytes."""
    await publisher.publish(*(event(n) for n in range(100)), at_ms=1000)
    await publisher.publish(*(event(n) for n in range(100, 200)))
    for_ever_s = 999_999_999 * 86_400.0
    options = RetentionOptions(history_s=for_ever_s, dead_letters_s=for_ever_s)
    await Janitor(engine, options).sweep()
    assert await kept(redis) == 200
    await Janitor(engine, replace(options, max_bytes=keys.SHARDS)).sweep()
    assert await kept(redis) < 200


async def test_dead_letters_beyond_their_bounds_expire(engine, engine_url, publisher):
    """The oldest dead letters go, by time and by bytes; they stay counted as buried."""
    recorder = Recorder(lambda _: Failed(Reason.REJECTED, status=400))
    async with delivering(engine_url, served(recorder)):
        await publisher.publish(*(event(n, size=1000) for n in range(100)))
        await settled(engine_url)
    letters = DeadLetters(engine)
    assert await letters.count("sub") == 100
    newest = (await letters.places("sub", limit=100))[-1]
    bound = RetentionOptions(dead_letters_max_bytes=50_000 * keys.SHARDS)
    await Janitor(engine, bound).sweep()
    assert 35 <= await letters.count("sub") <= 50
    assert (await letters.places("sub", limit=100))[-1] == newest
    await Janitor(engine, RetentionOptions(dead_letters_s=-1)).sweep()
    assert await letters.count("sub") == 0
    account = await settled(engine_url)
    assert (account["buried"], account["expired"]) == (100, 100)
