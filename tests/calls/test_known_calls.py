"""Calls as of now, on a real engine: what the keeper will say of them, before it has."""

import asyncio
import random
from json import loads

import orjson
import pytest
from support.eventually import eventually

from gateway.calls.keeper import Keeper
from gateway.calls.known_calls import KnownCalls
from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable
from gateway.event import Event
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.format import check_format
from gateway.store.states import unread
from gateway.store.states.call_store import CallStore
from gateway.store.taking.holders import Holder
from gateway.tasks import end

APP, CID = "demo-key", "default:room"
USERS = ("ann", "ben", "kim")


@pytest.fixture
async def engine(engine_url):
    engine = Engine(engine_url)
    await check_format(engine)
    yield engine
    await engine.close()


def told(kind, number, *, cid=CID, **fields):
    at = f"2026-11-20T10:{number // 60:02d}:{number % 60:02d}Z"
    body = orjson.dumps({"type": kind, "created_at": at, "call_cid": cid, **fields})
    return Event(
        app=APP,
        type=kind,
        call_cid=cid,
        accepted_ms=now_ms(),
        key=number.to_bytes(16, "big"),
        body=body,
    )


def anything(dice, number):
    """Some event that may change whom the call names."""
    user = dice.choice(USERS)
    call = {"created_by": {"id": dice.choice(USERS)}, "custom": {"n": number}}
    kind, fields = dice.choice(
        [
            ("call.member_added", {"members": [{"user_id": user}]}),
            ("call.member_removed", {"members": [user]}),
            ("call.blocked_user", {"user": {"id": user}}),
            ("call.unblocked_user", {"user": {"id": user}}),
            ("call.updated", {"call": call}),
            ("call.updated", {"call": {**call, "blocked_user_ids": [user]}}),
            ("call.deleted", {}),
            ("call.reaction_new", {}),
            ("custom", {"user": {"id": user}}),
        ]
    )
    return told(kind, number, **fields)


async def keep_all(engine, store, redis):
    """Have a keeper take in all that there is, and leave again."""
    keeper = Keeper(engine, store, Metrics(), holder=Holder("me"), ttl_s=1.0)
    task = asyncio.create_task(keeper.run())

    async def at_its_end():
        for shard in range(keys.SHARDS):
            last = await redis.xrevrange(keys.events(shard), count=1)
            kept = await redis.hget(keys.subscription(shard, keys.CALL_KEEPER), "taken_id")
            if last and kept != last[0][0]:
                return False
        return True

    await eventually(at_its_end)
    await end((task,))
    await keeper.release()


async def all_of(store):
    whole = await store.read(APP, CID)
    users = [(await store.users_of(APP, [CID], user))[0] for user in USERS]
    named = {} if whole is None else whole.users
    return (
        whole and loads(whole.call),
        {user: (set(one.flags), one.member) for user, one in named.items()},
        [one and (set(one.flags), one.member) for one in users],
    )


@pytest.mark.parametrize("seed", range(8))
async def test_it_is_what_the_keeper_comes_to(engine, publisher, redis, seed):
    """Whatever is published, and wherever the keeper stands: asked before and after it says one."""
    dice, known, kept = random.Random(seed), KnownCalls(engine), CallStore(engine)
    number = 0
    for _ in range(5):
        for _ in range(dice.randrange(1, 12)):
            await publisher.publish(anything(dice, number))
            number += 1
            await known.users_of(APP, [CID], "ann")  # read on, an event at a time
        said, anew = await all_of(known), await all_of(KnownCalls(engine))
        await keep_all(engine, kept, redis)
        assert said == anew == await all_of(kept) == await all_of(known)


async def test_a_redis_that_lost_its_end_is_read_anew(engine, publisher, redis):
    """What it does not have any more is forgotten."""
    known = KnownCalls(engine)
    await publisher.publish(told("call.member_added", 1, members=[{"user_id": "ann"}]))
    assert await known.names(APP, CID, "ann")
    await redis.flushall()
    await check_format(engine)
    await publisher.publish(told("call.member_added", 2, members=[{"user_id": "ben"}]))
    shard = keys.shard_of(keys.call_key(APP, CID))
    await redis.hset(keys.shard_state(shard), "epoch", "another")
    assert not await known.names(APP, CID, "ann")
    assert await known.names(APP, CID, "ben")


async def test_too_far_behind_it_does_not_guess(engine, publisher, redis, monkeypatch):
    """And what is held meanwhile is bounded; once the states have it, it knows again."""
    monkeypatch.setattr(unread, "_MOST_BYTES", 10_000)
    monkeypatch.setattr(unread, "_LOOK_BYTES", 5_000)
    known = KnownCalls(engine)
    pad = {"call": {"custom": {"pad": "x" * 900}}}
    await publisher.publish(*(told("call.updated", n, **pad) for n in range(100)))
    await publisher.publish(told("call.member_added", 101, members=[{"user_id": "ann"}]))
    for _ in range(3):
        with pytest.raises(EngineUnavailable):
            await known.names(APP, CID, "ann")
        assert sum(one.bytes for one in known._unread._shards) < 20_000
    await keep_all(engine, CallStore(engine), redis)
    assert await known.names(APP, CID, "ann")


async def test_many_who_ask_at_once_read_once(engine, publisher):
    """Whoever asks sees all that was published before; a crowd does not multiply the reading."""
    known = KnownCalls(engine)
    await publisher.publish(told("call.member_added", 1, members=[{"user_id": "ann"}]))
    answers = await asyncio.gather(*(known.names(APP, CID, "ann") for _ in range(500)))
    assert all(answers)
    assert max(one.begun for one in known._unread._shards) < 10
