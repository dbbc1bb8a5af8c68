"""A watch is asked for where a request comes in, and kept where the socket is held."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from socket_client import CALL, KEY, OTHER_KEY, connected
from support.doorway import APPS, opened
from support.streams import TestPublisher, event

from gateway.calls.access import Access
from gateway.calls.allowance import Allowance
from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity, Tokens
from gateway.engine.engine import Engine
from gateway.event import Event
from gateway.feed.connection_ids import ConnectionIds
from gateway.feed.service import FeedService
from gateway.metrics import Metrics
from gateway.options import Config, FeedOptions
from gateway.store.rates import RateStore
from gateway.store.states.call_store import CallStore
from gateway.tasks import end

ALICE = Identity(KEY, "alice", None, None, None)


@dataclass
class Process:
    """A process's feed, on a port and a Redis connection of its own."""

    port: int
    feed: FeedService

    async def watch(self, socket, *calls, identity=ALICE):
        await self.feed.registration.watch(socket.id, identity, calls or [CALL])

    async def refusal(self, connection_id, identity=ALICE, calls=(CALL,)):
        with pytest.raises(StreamError) as refused:
            await self.feed.registration.watch(connection_id, identity, calls)
        return refused.value.code


@asynccontextmanager
async def process(folder, url):
    engine = Engine(url)
    calls, metrics = CallStore(engine), Metrics()
    config = Config(apps=APPS, feed=FeedOptions(access="any", max_watched_calls=3))
    feed = FeedService(
        config,
        engine,
        metrics,
        tokens=Tokens(APPS),
        access=Access("any", calls),
        allowance=Allowance(config.feed, RateStore(engine), metrics.too_fast),
        calls=calls,
    )
    async with opened(folder, add_routes=feed.add_routes) as doorway:
        running = asyncio.create_task(feed.run())
        try:
            yield Process(doorway.port, feed)
        finally:
            await feed.drain(0)
            await end([running])
            await engine.close()


@pytest.fixture
async def here(tmp_path, engine_url):
    async with process(tmp_path / "here", engine_url) as one:
        yield one


@pytest.fixture
async def there(tmp_path, engine_url):
    async with process(tmp_path / "there", engine_url) as one:
        yield one


@pytest.fixture
async def publish(engine_url):
    """Publish `count` events of a call, whose bodies say their numbers."""
    publisher = TestPublisher(engine_url)
    numbers = iter(range(1_000_000))

    async def some(count, *, call=CALL, app=KEY, **more):
        batch = [event(next(numbers), call=call, app=app, **more) for _ in range(count)]
        await publisher.publish(*batch)
        return [json.loads(one.body)["n"] for one in batch]

    yield some
    await publisher.close()


async def heard(socket, count):
    return [(await socket.event())["n"] for _ in range(count)]


async def test_what_is_watched_here_comes(here, publish):
    """From the answer on every event of the call comes, in order, once, and of no other."""
    async with connected(here) as socket:
        await here.watch(socket)
        await publish(3, call="default:other")
        await publish(3, app=OTHER_KEY)
        assert await publish(100) == await heard(socket, 100)


async def test_a_request_that_came_in_elsewhere(here, there, publish):
    """The holder is asked through Redis; after the answer nothing is missed."""
    async with connected(here) as socket:
        for number in range(10):
            await there.watch(socket, CALL)
            assert await publish(5) == await heard(socket, 5), number


async def test_a_connection_that_nobody_holds(here, there, monkeypatch):
    """Code 46: gone, of a process that is gone, of somebody else, of another app, or no name."""
    monkeypatch.setattr(
        "gateway.feed.sdk.registration._PATIENCE_S", 0.3
    )  # code 46 too when it ends
    async with connected(here) as socket:
        for one in (here, there):
            bob = Identity(KEY, "bob", None, None, None)
            theirs = Identity(OTHER_KEY, "alice", None, None, None)
            server = Identity(KEY, None, None, None, None)
            for identity in (bob, theirs, server):
                assert await one.refusal(socket.id, identity) == 46
            assert await one.refusal("nobody") == 46
            assert await one.refusal(ConnectionIds().new()) == 46
    for one in (here, there):
        assert await one.refusal(socket.id) == 46


async def test_what_the_holder_refuses_the_asker_is_told(here, there):
    """Code 4 for more calls than one connection may watch, wherever the request came in."""
    calls = [f"default:{number}" for number in range(4)]
    async with connected(here) as socket:
        for one in (here, there):
            assert await one.refusal(socket.id, calls=calls) == 4


def _ring(*users):
    body = {
        "type": "call.ring",
        "call_cid": CALL,
        "n": 7,
        "members": [{"user_id": u} for u in users],
    }
    return Event(
        app=KEY,
        type="call.ring",
        call_cid=CALL,
        accepted_ms=1,
        key=b"k" * 16,
        body=json.dumps(body).encode(),
    )


async def test_a_call_rings_for_members_who_do_not_watch(here, engine_url):
    """Each connection of a member gets it once, whether it watches or not; nobody else's does."""
    publisher = TestPublisher(engine_url)
    async with connected(here) as watching, connected(here) as idle:
        async with connected(here, "bob") as bob:
            await here.watch(watching)
            await publisher.publish(_ring("alice"), event(8, call=CALL, app=KEY))
            assert await heard(watching, 2) == [7, 8]
            assert await heard(idle, 1) == [7]
            await here.watch(idle)
            await here.watch(bob, identity=Identity(KEY, "bob", None, None, None))
            await publisher.publish(event(9, call=CALL, app=KEY))
            assert await heard(idle, 1) == await heard(bob, 1) == [9]
    await publisher.close()
