"""Who is looked at again after a removal or a block: over the real state of calls."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import pytest
from support.calls import make_call
from support.eventually import eventually

from gateway.event import Meta
from gateway.feed.connections import Connections
from gateway.feed.leaving import Leaving
from gateway.options import FeedOptions
from gateway.stream.call_documents import Named
from gateway.stream.call_store import CallStore
from gateway.stream.connection import Engine
from gateway.stream.tail import Entry

APP, CID = "demo-key", "default:room"


@dataclass(eq=False)
class Connection:
    """Notes whenever it is barred from a call."""

    connection_id: str
    granted: frozenset[str] = frozenset()
    app: str = APP
    user_id: str = "kim"
    barred_from: list[str] = field(default_factory=list)

    def barred(self, call_cid):
        self.barred_from.append(call_cid)


@pytest.fixture
async def store(engine_url):
    engine = Engine(engine_url)
    yield CallStore(engine)
    await engine.close()


@contextlib.asynccontextmanager
async def looking(store, event, *, by_state):
    """Two connections of kim's, of which one has a token for the call, when `event` comes."""
    connections = Connections(FeedOptions())
    both = Connection("with", frozenset({CID})), Connection("without")
    for one in both:
        connections.enter(one)
    leaving = Leaving(store, connections, by_state=by_state)
    running = asyncio.create_task(leaving.run())
    leaving.take(_entry(event))
    try:
        yield both
    finally:
        running.cancel()


def _entry(event):
    meta = Meta(APP, event["type"], CID, 0, "", "", "", "")
    return Entry(0, (1, 1), 1, meta, json.dumps(event).encode())


REMOVED = {"type": "call.member_removed", "members": ["kim"]}
BLOCKED = {"type": "call.blocked_user", "user": {"id": "kim"}}


async def test_a_removed_user_with_a_token_is_let_be(store):
    """At the removal both go; looked at again, who came back by a token stays."""
    await make_call(store, APP, CID, [Named("anna", "c")])
    async with looking(store, REMOVED, by_state={APP}) as (granted, other):
        await eventually(lambda: len(other.barred_from) == 2)
        assert granted.barred_from == [CID]


async def test_a_blocked_user_is_not(store):
    """Whoever is blocked goes at the block and when looked at again, token or none."""
    await make_call(store, APP, CID, [Named("kim", "b")])
    async with looking(store, BLOCKED, by_state={APP}) as (granted, other):
        await eventually(lambda: len(other.barred_from) == len(granted.barred_from) == 2)


async def test_where_an_app_is_open(store):
    """A removal means nothing there; a block what it means everywhere."""
    await make_call(store, APP, CID, [Named("kim", "b")])
    async with looking(store, REMOVED, by_state=()) as removed:
        async with looking(store, BLOCKED, by_state=()) as (granted, other):
            await eventually(lambda: len(other.barred_from) == len(granted.barred_from) == 2)
        assert [one.barred_from for one in removed] == [[], []]
