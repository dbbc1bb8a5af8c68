"""Who may watch a call: by what its state says, by token, and where an app is open."""

import pytest
from support.calls import make_call

from gateway.calls.access import Access
from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity
from gateway.engine.engine import Engine
from gateway.store.states.call_documents import Named
from gateway.store.states.call_store import CallStore

APP, CID, OTHER = "demo-key", "default:room", "default:other"


@pytest.fixture
async def store(engine_url):
    engine = Engine(engine_url)
    yield CallStore(engine)
    await engine.close()


async def may(access, identity, cid=CID):
    try:
        await access.check(identity, cid)
    except StreamError as refused:
        return (refused.code, refused.status) != (17, 403)
    else:
        return True


def user(name, calls=(), app=APP, **more):
    return Identity(app, name, frozenset(calls), **more)


async def test_members_and_who_created_it(store):
    """Unless the app is open, those whom the state names may watch, in their own app alone."""
    users = [Named("bob", "m", "", b'{"user_id":"bob"}'), Named("alice", "c"), Named("eve", "b")]
    await make_call(store, APP, CID, users)
    access = Access({"other-key"}, store)
    assert [await may(access, user(name)) for name in ("alice", "bob", "eve", "kim")] == [
        True,
        True,
        False,
        False,
    ]
    assert not await may(access, user("kim", role="admin"))
    assert not await may(Access((), store), user("bob", app="other-key"))
    assert not await may(access, user("bob"), OTHER)
    assert await may(access, Identity(APP, None), "default:nobody-knows")


async def test_who_leaves_or_is_blocked(store):
    """One who is no member any more, or a member that is blocked, watches no longer."""
    bob = Named("bob", "m", "", b'{"user_id":"bob"}')
    await make_call(store, APP, CID, [bob])
    access = Access((), store)
    for change, expected in (
        (Named("bob", "b"), False),
        (Named("bob", "", "b"), True),
        (Named("bob", "", "m"), False),
    ):
        await make_call(store, APP, CID, [change])
        assert await may(access, user("bob")) is expected
    assert await store.naming(APP, "bob") == set()


async def test_an_open_app(store):
    """Every user of it may, whatever is known of the call; no user of another app."""
    access = Access({APP}, store)
    assert await may(access, user("kim"), "default:nobody-knows")
    assert not await may(access, user("kim", app="other-key"), "default:nobody-knows")


@pytest.mark.parametrize("is_open", [True, False])
async def test_call_tokens_let_in(store, is_open):
    """Into the calls that they name, also before anything is known of them; and keep out of none."""
    access = Access({APP} if is_open else (), store)
    assert await may(access, user("kim", [CID]))
    await make_call(store, APP, CID, [Named("bob", "m", "", b"{}")])
    assert await may(access, user("kim", [CID, OTHER]))
    assert await may(access, user("bob", [OTHER]))
    assert await may(access, user("kim", [OTHER])) is is_open


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_block_wins(store, is_open):
    """Over a token that names the call, over being a member, and where the app is open."""
    await make_call(store, APP, CID, [Named("bob", "mb", "", b"{}"), Named("eve", "b")])
    access = Access({APP} if is_open else (), store)
    for name in ("bob", "eve"):
        assert not await may(access, user(name, [CID]))
        assert not await may(access, user(name))
