"""Call states in Redis: written in one step, found again, bounded, and forgotten whole."""

import json

import pytest
from support.calls import make_call

from gateway.store import keys
from gateway.store.states.call_documents import Draft, Named
from gateway.store.states.call_store import CallStore

APP, CID = "demo-key", "default:room"


@pytest.fixture
def store(engine):
    return CallStore(engine)


def draft(read, call=b'{"id":"room"}', **more):
    return Draft(APP, CID, read, call, 1, **more)


async def size(redis):
    return sum([int(await redis.get(keys.call_states(n)[3]) or 0) for n in range(keys.SHARDS)])


async def test_a_state_is_one_json_text(store):
    """Both pieces and the members, as they were written; nothing for a call nobody wrote."""
    users = [Named("bob", "m", "", b'{"user_id":"bob"}'), Named("alice", "c")]
    await store.put(draft(None, b'{"id":"r\xc3\xb6m"}', more=b'{"settings":{}}', users=users))
    assert json.loads(await store.get(APP, CID)) == {
        "call": {"id": "röm", "settings": {}},
        "members": [{"user_id": "bob"}],
    }
    assert await store.get("other-key", CID) is None
    assert await store.get(APP, "default:none") is None


async def test_who_was_slower_reads_again(store):
    """A state is never written over one that its writer has not read."""
    assert await store.put(draft(None))
    assert not await store.put(draft(None, b'{"id":"second"}'))
    (read,) = await store.documents(APP, [CID])
    assert await store.put(draft(read, b'{"id":"third"}', applied=(7, 1), seen_ns=5))
    assert not await store.put(draft(read, b'{"id":"fourth"}'))
    (read,) = await store.documents(APP, [CID])
    assert (read.version, read.applied, read.seen_ns, read.call) == (
        2,
        (7, 1),
        5,
        b'{"id":"third"}',
    )


async def test_what_was_not_given_stays(store):
    """The second piece, and members of whom nothing is said."""
    await store.put(draft(None, more=b'{"a":1}', users=[Named("bob", "m", "", b'{"n":1}')]))
    (read,) = await store.documents(APP, [CID])
    await store.put(draft(read, b'{"id":"new"}', users=[Named("bob", "c")]))
    whole = await store.read(APP, CID)
    assert json.loads(whole.call) == {"id": "new", "a": 1}
    assert whole.users["bob"].member == b'{"n":1}'
    assert set(whole.users["bob"].flags) == {"m", "c"}


async def test_calls_are_found_by_time_and_by_user(store):
    """In the order of their creation, and all that name somebody; each app its own."""
    for n in range(20):
        await make_call(store, APP, f"default:{n}", [Named(f"user-{n % 2}", "c")], created_ms=n)
    await make_call(store, "other-key", "default:0", [Named("user-0", "c")])
    found = []
    for shard in range(keys.SHARDS):
        found += await store.newest(APP, shard, start=0, count=100)
    assert sorted(found) == sorted((f"default:{n}", n) for n in range(20))
    assert await store.naming(APP, "user-1") == {f"default:{n}" for n in range(1, 20, 2)}
    assert await store.naming("other-key", "user-1") == set()
    cids = ["default:3", "default:none", "default:4"]
    assert [user and user.flags for user in await store.users_of(APP, cids, "user-1")] == [
        "c",
        None,
        None,
    ]
    assert [one is not None for one in await store.documents(APP, cids)] == [True, False, True]


async def test_a_call_is_forgotten_whole(store, redis):
    """Nothing of it is left in Redis, and the bytes are counted exactly."""
    members = [Named(f"u{n}", "m", "", b'{"n":%d}' % n) for n in range(50)]
    await store.put(draft(None, more=b'{"settings":{"a":1}}', users=members))
    (read,) = await store.documents(APP, [CID])
    changes = [Named("u1", "", "m"), Named("u2", "b"), Named("u3", "m", "", b'{"longer":true}')]
    await store.put(draft(read, b'{"id":"another"}', more=b'{"settings":{}}', users=changes))
    assert await size(redis) > 0
    await store.drop(APP, CID)
    await store.drop(APP, CID)
    left = [key for key in await redis.keys("*") if not key.endswith(b"calls_size")]
    assert (left, await size(redis)) == ([], 0)


async def test_states_are_bounded(store, redis):
    """The longest untouched go: beyond an age, a number, or a size together."""
    for n in range(200):
        await make_call(
            store, APP, f"default:{n}", [Named("a", "c")], call=b'{"x":"%s"}' % b"y" * 9
        )
    ages = {"oldest_ms": 0, "max_calls": 1 << 30, "max_bytes": 1 << 40}
    assert await store.sweep(**ages) == 0
    await store.sweep(**{**ages, "max_calls": 10 * keys.SHARDS})
    left = await store.naming(APP, "a")
    assert 70 <= len(left) <= 80
    await store.sweep(**{**ages, "max_bytes": (await size(redis)) // 2})
    assert len(await store.naming(APP, "a")) <= 45
    await store.sweep(**{**ages, "oldest_ms": 1 << 50})
    assert (await store.naming(APP, "a"), await size(redis)) == (set(), 0)
