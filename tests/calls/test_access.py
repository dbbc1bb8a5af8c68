"""Who may watch a call: by mode, by token, by what the call's state says."""

import pytest
from support.calls import make_call

from gateway.calls.access import Access
from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity
from gateway.stream.call_documents import Named
from gateway.stream.call_store import CallStore
from gateway.stream.connection import Engine

APP, CID = "demo-key", "default:room"


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


def user(name, calls=None, app=APP):
    return Identity(app, name, None if calls is None else frozenset(calls))


async def test_members_and_who_created_it(store):
    """Unless `any`, those whom the state names may watch, in their own app alone."""
    users = [Named("bob", "m", "", b'{"user_id":"bob"}'), Named("alice", "c"), Named("eve", "b")]
    await make_call(store, APP, CID, users)
    access = Access("members", store)
    assert [await may(access, user(name)) for name in ("alice", "bob", "eve", "kim")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert not await may(access, user("bob", app="other-key"))
    assert not await may(access, user("bob"), "default:other")
    assert await may(access, Identity(APP, None), "default:nobody-knows")


async def test_who_leaves_or_is_blocked(store):
    """One who is no member any more, or a member that is blocked, watches no longer."""
    bob = Named("bob", "m", "", b'{"user_id":"bob"}')
    await make_call(store, APP, CID, [bob])
    access = Access("members", store)
    for change, expected in (
        (Named("bob", "b"), False), (Named("bob", "", "b"), True), (Named("bob", "", "m"), False),
    ):  # fmt: skip
        await make_call(store, APP, CID, [change])
        assert await may(access, user("bob")) is expected
    assert await store.naming(APP, "bob") == set()


async def test_anybody(store):
    """With `any` every user may, whatever is known of the call."""
    access = Access("any", store)
    assert await may(access, user("kim"), "default:nobody-knows")


async def test_call_tokens_limit_in_either_mode(store):
    """A token for some calls is good for these, and only if its user is."""
    await make_call(store, APP, CID, [Named("bob", "m", "", b"{}")])
    for mode in ("any", "members"):
        access = Access(mode, store)
        assert await may(access, user("bob", [CID]))
        assert not await may(access, user("bob", ["default:other"]))
        assert not await may(access, user("bob", []))
        assert await may(access, user("kim", [CID])) is (mode == "any")
