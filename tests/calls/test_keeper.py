"""The keeper on a real engine: states follow events, through takeovers, floods and conflicts."""

import asyncio
from contextlib import asynccontextmanager
from json import loads

import orjson
import pytest
from support.eventually import eventually
from support.webhooks import sample_bodies

from gateway.calls import keeper as keeper_module
from gateway.calls import state
from gateway.calls.keeper import Keeper
from gateway.calls.state import says_something
from gateway.calls.state_batch import draft
from gateway.calls.sweeper import CallSweeper
from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.event import Event
from gateway.metrics import Metrics
from gateway.options import FeedOptions, RetentionOptions
from gateway.store import keys
from gateway.store.format import check_format
from gateway.store.states.call_documents import Draft, Named
from gateway.store.states.call_store import CallStore
from gateway.store.taking.holders import Holder
from gateway.store.upkeep.retention import Janitor
from gateway.tasks import end

APP, CID = "demo-key", "default:room"
SHARD = keys.shard_of(keys.call_key(APP, CID))


@pytest.fixture
async def engine(engine_url):
    engine = Engine(engine_url)
    await check_format(engine)
    yield engine
    await engine.close()


@pytest.fixture
def store(engine):
    return CallStore(engine)


@asynccontextmanager
async def keeping(engine, store, *, holder="me", ttl_s=1.0):
    """A keeper at work; it gives back its leases at the end. `.counted` is its metric."""
    metrics = Metrics()
    keeper = Keeper(engine, store, metrics, holder=Holder(holder), ttl_s=ttl_s)
    keeper.counted = metrics.call_events.values
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        await end((task,))
        await keeper.release()


def told(kind, number=0, *, cid=CID, **fields):
    at = f"2026-11-20T10:00:{number // 1000:02d}.{number % 1000:03d}Z"
    body = orjson.dumps({"type": kind, "created_at": at, "call_cid": cid, **fields})
    return Event(
        app=APP,
        type=kind,
        call_cid=cid,
        accepted_ms=now_ms(),
        key=number.to_bytes(16, "big"),
        body=body,
    )


def updated(number, **fields):
    return told("call.updated", number, call={"custom": {"n": number}}, **fields)


async def custom_of(store, cid=CID):
    found = await store.get(APP, cid)
    return None if found is None else loads(found)["call"].get("custom")


async def at_its_end(redis):
    """Whether the keeper has kept all that there is."""
    for shard in range(keys.SHARDS):
        last = await redis.xrevrange(keys.events(shard), count=1)
        kept = await redis.hget(keys.subscription(shard, keys.CALL_KEEPER), "taken_id")
        if last and kept != last[0][0]:
            return False
    return True


async def test_every_sample_becomes_a_state(engine, store, publisher, redis):
    """Each call of the samples is known afterwards, as an answer that SDKs can read."""
    events = []
    for n, body in enumerate(sample_bodies().values()):
        content = loads(body)
        kind, cid = content["type"], content.get("call_cid")
        events.append(
            Event(
                app=APP,
                type=kind,
                call_cid=cid,
                accepted_ms=now_ms(),
                key=n.to_bytes(16, "big"),
                body=body,
            )
        )
    async with keeping(engine, store):
        await publisher.publish(*events)
        await eventually(lambda: at_its_end(redis))
    cids = {one.call_cid for one in events if one.call_cid and says_something(one.type)}
    assert len(cids) >= 2
    for cid in cids:
        call = loads(await store.get(APP, cid))["call"]
        assert {"cid", "settings", "egress", "custom", "created_at"} <= call.keys()
        assert "screensharing" in call["settings"]


async def test_states_follow_events_in_order(engine, store, publisher):
    """What was there before the keeper, and what comes while it runs; the last one stands."""
    await publisher.publish(*(updated(n) for n in range(50)))
    async with keeping(engine, store):
        await eventually(lambda: _is(store, 49))
        for n in range(50, 60):
            await publisher.publish(updated(n))
        await eventually(lambda: _is(store, 59))


async def _is(store, number):
    return await custom_of(store) == {"n": number}


async def test_another_takes_over(engine, store, publisher, redis):
    """A keeper that dies without a word is followed by the next one, which goes on at its place."""
    first = Keeper(engine, store, Metrics(), holder=Holder("first"), ttl_s=0.5)
    task = asyncio.create_task(first.run())
    await publisher.publish(*(updated(n) for n in range(10)))
    await eventually(lambda: _is(store, 9))
    await end((task,))  # its leases are not given back
    await publisher.publish(updated(10))
    async with keeping(engine, store, holder="second", ttl_s=0.5) as second:
        await eventually(lambda: _is(store, 10))
        # Counted a moment after it is written.
        assert await eventually(lambda: second.counted.get(("taken_in",))) <= 11


async def test_one_that_wakes_late_keeps_nothing(engine, store, publisher, redis):
    """The token of a lease that somebody else has taken moves no place and no state."""
    late = Keeper(engine, store, Metrics(), holder=Holder("late"), ttl_s=0.2)
    await late._round()
    await eventually(lambda: _expired(redis))
    async with keeping(engine, store, holder="other", ttl_s=600):  # renewed seldom
        await publisher.publish(updated(1))
        await eventually(lambda: _is(store, 1))
        before = await redis.hgetall(keys.subscription(SHARD, keys.CALL_KEEPER))
        await late._round()
        assert all(not shard.token for shard in late._shards)
        assert await redis.hgetall(keys.subscription(SHARD, keys.CALL_KEEPER)) == before


async def _expired(redis):
    expires = await redis.hget(keys.subscription(SHARD, keys.CALL_KEEPER), "expires_ms")
    return int(expires) < now_ms()


async def test_reading_again_changes_nothing(engine, store, publisher, redis):
    """From the very beginning once more: no state moves, no participant counts twice."""
    moves = [
        told(
            "call.session_participant_joined",
            n,
            session_id="s",
            participant={"user_session_id": f"u{n % 5}", "role": "user"},
        )
        for n in range(20)
    ]
    await publisher.publish(*moves)
    async with keeping(engine, store):
        await eventually(lambda: at_its_end(redis))
    before = await store.get(APP, CID)
    assert loads(before)["call"]["session"]["participants_count_by_role"] == {"user": 5}
    await redis.hdel(keys.subscription(SHARD, keys.CALL_KEEPER), "taken_id", "taken_seq")
    async with keeping(engine, store):
        await eventually(lambda: at_its_end(redis))
    assert await store.get(APP, CID) == before


async def test_a_deleted_call_is_forgotten(engine, store, publisher, redis):
    """Nothing is left of it, unless it is made again."""
    await publisher.publish(updated(1), told("call.deleted", 2))
    async with keeping(engine, store):
        await eventually(lambda: at_its_end(redis))
        assert await store.get(APP, CID) is None
        await publisher.publish(updated(3))
        await eventually(lambda: _is(store, 3))


async def test_a_state_that_others_write_too(engine, store, publisher):
    """Whoever writes a call that Stream has told of: neither loses what the other has said."""
    async with keeping(engine, store):
        await publisher.publish(updated(0))
        await eventually(lambda: _is(store, 0))
        await _add_member(store, "u0")
        for n in range(1, 30):
            await publisher.publish(updated(n))
            await _add_member(store, f"u{n}")
        await eventually(lambda: _is(store, 29))
    assert len((await store.read(APP, CID)).users) == 30


async def _add_member(store, user):
    written = False
    while not written:
        (read,) = await store.documents(APP, [CID])
        call = state.begin(CID, "2026-11-20T10:00:00Z").call if read is None else loads(read.call)
        now = state.Progress(CID, call, seen_ns=read.seen_ns if read else 0)
        now.users = [Named(user, "m", "", b'{"n":1}')]
        written = await store.put(draft(APP, read, now, read.applied if read else (0, 0)))


async def test_an_event_that_breaks_us_costs_itself_alone(engine, store, publisher, redis, caplog):
    """Not even a state that nothing of ours has written stops the keeper."""
    await store.put(Draft(APP, CID, None, b'["not an object"]', 1, applied=(0, 1)))
    other = "default:room-2"
    await publisher.publish(updated(1), updated(2, cid=other))
    async with keeping(engine, store):
        await eventually(lambda: at_its_end(redis))
    assert await custom_of(store, other) == {"n": 2}
    assert "cannot be taken in" in caplog.text


async def test_in_a_flood_members_are_kept(engine, store, publisher, redis):
    """More than can be taken in: comings and goings are let go, who is a member never."""
    crowd = 40 * keeper_module.BATCH
    events = []
    for n in range(crowd):
        who = {"user_session_id": f"u{n}", "role": "user"}
        events.append(
            told("call.session_participant_joined", n % 60_000, session_id="s", participant=who)
        )
        if n % 500 == 0:
            added = [{"user_id": f"m{n}"}]
            events.append(told("call.member_added", n % 60_000, members=added))
    await publisher.publish(*events)
    async with keeping(engine, store) as one:
        await eventually(lambda: at_its_end(redis), within_s=60)
    users = (await store.read(APP, CID)).users
    assert {f"m{n}" for n in range(0, crowd, 500)} <= users.keys()
    assert one.counted[("let_go",)] > crowd // 2
    assert one.counted[("taken_in",)] + one.counted[("let_go",)] == len(events)


async def test_what_a_keeper_has_not_read_is_not_trimmed(engine, store, publisher, redis):
    """While one is at work; once its lease has ended history alone decides."""
    async with keeping(engine, store):
        await publisher.publish(updated(1))
        await eventually(lambda: at_its_end(redis))
    await publisher.publish(*(updated(n) for n in range(2, 50)))
    janitor = Janitor(engine, RetentionOptions(history_s=-1))
    name = keys.subscription(SHARD, keys.CALL_KEEPER)
    await redis.hset(name, "expires_ms", now_ms() + 60_000)
    await janitor.sweep()
    assert await redis.xlen(keys.events(SHARD)) == 49
    await redis.hset(name, "expires_ms", now_ms() - 1)
    await janitor.sweep()
    assert await redis.xlen(keys.events(SHARD)) == 1


async def test_a_flushed_engine(engine, store, publisher, redis):
    """All is gone, the keeper too: it begins again once somebody has written the format."""
    async with keeping(engine, store):
        await publisher.publish(updated(1))
        await eventually(lambda: _is(store, 1))
        await redis.flushall()
        await check_format(engine)
        await publisher.publish(updated(2))
        await eventually(lambda: _is(store, 2))


async def test_bodies_that_are_no_json_for_us(engine, store, publisher, redis):
    """Their type counts; what comes behind them is taken in."""
    odd = Event(
        app=APP,
        type="call.ended",
        call_cid=CID,
        accepted_ms=now_ms(),
        key=b"x" * 16,
        body=b'{"type":"call.ended","n":' + b"[" * 3000 + b"]" * 3000 + b"}",
    )
    await publisher.publish(odd)
    await redis.xadd(keys.events(SHARD), {"foreign": "entry"})
    await publisher.publish(updated(2))
    async with keeping(engine, store):
        await eventually(lambda: _is(store, 2))
        await eventually(lambda: at_its_end(redis))


async def test_old_calls_are_swept(engine, store, publisher):
    """What nothing has been heard of for the retention is forgotten."""
    async with keeping(engine, store):
        await publisher.publish(updated(1))
        await eventually(lambda: _is(store, 1))
    await CallSweeper(store, FeedOptions(calls_retention_s=3600)).sweep()
    assert await custom_of(store) == {"n": 1}
    await CallSweeper(store, FeedOptions(calls_retention_s=-1)).sweep()
    assert await custom_of(store) is None


async def test_shards_without_news_are_left_alone(engine, store, publisher, redis):
    """An event is looked for in the shard that has it; the others wait until their lease does."""

    async def visits():
        return (await redis.info("commandstats")).get("cmdstat_xrange", {}).get("calls", 0)

    async with keeping(engine, store, ttl_s=600):
        await publisher.publish(updated(0))
        await eventually(lambda: _is(store, 0))
        before = await visits()
        for number in range(1, 6):
            await publisher.publish(updated(number))
            await eventually(lambda n=number: _is(store, n))
        assert 5 <= await visits() - before < 5 * keys.SHARDS / 2
