"""An older version and ours at the same time, each with a data_dir of its own, on one Redis."""

import asyncio
import socket
from contextlib import AsyncExitStack, asynccontextmanager, closing
from functools import partial

import pytest
from feed_plain.plain_client import KEY, events, token, watching
from kept import kept
from services import refused, running_services
from support.engines import supervised
from support.eventually import eventually
from support.feed import Sender
from support.hard import first
from support.load import Load, assert_in_order
from support.running_gateway import RunningGateway
from support.stream_client import stream_client

VERSIONS = [one.name for one in kept()]
NAMES = ("shipped", "refusing")
# How long a lease is that does not lapse, however busy the machine is, and one that has to end.
# Whose shard it is to be waits for up to half of it after a change of who is there.
LONG_LEASE, SHORT_LEASE = "20s", "4s"
MORE = 60  # events between two changes
ROOM = "default:room"


class Replica:
    """A gateway, a socket that outlives it, and who sends to it."""

    def __init__(self, folder, name, config):
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.gateway = RunningGateway(folder / name, dict(config), listening=self.listening)
        self.load = Load(self.gateway.port, name=f"to-{name}-", pause_s=0.05)

    async def start(self, environ):
        self.gateway.environ = environ
        await self.gateway.start()
        await self.gateway.up()

    async def taken(self, count=MORE):
        """Wait until it has acknowledged so many more."""
        enough = len(self.load.acked) + count
        await eventually(lambda: len(self.load.acked) >= enough, within_s=120)


class Pair:
    def __init__(self, services, one, two):
        self.services, self.one, self.two = services, one, two
        self._sending = []

    def send(self):
        self._sending = [asyncio.create_task(each.load.run(1_000_000)) for each in self.both]

    @property
    def both(self):
        return self.one, self.two

    async def change(self, replica, environ):
        """Stop a replica in good order and go on as another version, in the midst of the load."""
        await replica.taken()
        assert await replica.gateway.stop() == 0
        await replica.start(environ)
        await replica.taken()

    async def verdict(self, *, most_often=1):
        """What either acknowledged came to everybody, so often at most, and was buried once; both
        tell the same ledger.
        """
        for each in self.both:
            each.load.stop = True
        await asyncio.gather(*self._sending)
        ledgers = [await each.gateway.settled(within_s=120) for each in self.both]
        acked = {*self.one.load.acked, *self.two.load.acked}
        bodies = self.services.bodies("shipped")
        assert set(bodies) == acked
        assert max(map(bodies.count, acked)) <= most_often
        assert_in_order(bodies)
        for ledger in ledgers:
            assert ledger["overall"]["published"] == len(acked)
            assert ledger["subscribers"]["shipped"]["delivered"] == len(acked)
            assert ledger["subscribers"]["refusing"]["buried"] == len(acked)


@asynccontextmanager
async def pair(folder, *, lease=LONG_LEASE, **more):
    """Two gateways that are not started yet."""
    async with supervised(folder / "r") as redis, running_services() as services:
        services.answers = {"refusing": refused}
        config = {
            "subscribers": services.subscribers(*NAMES),
            "redis": {"url": redis.url, "lease": lease},
            "server": {"drain": "60s"},
            **more,
        }
        async with AsyncExitStack() as stack:
            replicas = [Replica(folder, name, config) for name in ("one", "two")]
            for each in replicas:
                stack.enter_context(closing(each.listening))
                stack.push_async_callback(stop, each.gateway)
            yield Pair(services, *replicas)
        for each in replicas:
            assert "Traceback" not in each.gateway.log_text, each.gateway.log_text


async def stop(gateway):
    if gateway.is_running():
        await gateway.stop()


@pytest.mark.parametrize("version", VERSIONS)
async def test_replicas_go_one_after_another_and_back(tmp_path, programs, version):
    """Under load, one replica after the other is replaced by ours, and then both go back: no
    connection is refused, all is delivered and buried once, in the order of its call.
    """
    older, ours = programs[version], programs["now"]
    async with pair(tmp_path) as replicas:
        for each in replicas.both:
            await each.start(older)
        replicas.send()
        for environ in (ours, older):
            for each in replicas.both:
                await replicas.change(each, environ)
        await replicas.verdict()
        assert [each.load.refused for each in replicas.both] == [0, 0]
        assert all(set(each.load.statuses) <= {200, 0} for each in replicas.both)


@pytest.mark.hard
@pytest.mark.parametrize("version", VERSIONS)
async def test_a_killed_replica_comes_back_as_the_other_version(tmp_path, programs, version):
    """kill -9 of either under load: whoever is left takes over, whichever version it is of, and
    who comes back goes on with the journal. Nothing is lost; what was under way comes again at most.
    """
    older, ours = programs[version], programs["now"]
    async with pair(tmp_path, lease=SHORT_LEASE) as replicas:
        one, two = replicas.both
        await one.start(older)
        await two.start(ours)
        replicas.send()
        for killed, left, environ in ((one, two, ours), (two, one, older)):
            await killed.taken()
            await left.taken()
            await killed.gateway.kill()
            await left.taken()
            await eventually(partial(came, replicas.services, set(left.load.acked)), within_s=120)
            await killed.start(environ)
            await killed.taken()
        await replicas.verdict(most_often=3)


def came(services, bodies):
    return bodies <= set(services.bodies("shipped"))


@pytest.mark.parametrize("order", first("older first", "ours first"))
@pytest.mark.parametrize("version", VERSIONS)
async def test_watchers_and_their_requests_meet_across_versions(tmp_path, programs, version, order):
    """A request that reaches one replica has a connection watch that the other holds; a ticket of
    one opens the other; a cursor of one goes on at the other, without a gap or a duplicate.
    """
    async with pair(tmp_path, feed={"access": "any"}, server={"drain": "1s"}) as replicas:
        here, there = replicas.both if order == "older first" else replicas.both[::-1]
        await replicas.one.start(programs[version])
        await replicas.two.start(programs["now"])
        async with Sender(here.gateway) as sender, Sender(there.gateway) as other:
            async with stream_client(base(here), "anna") as anna:
                await anna.connect()
                made = await anna.ask("POST", "/video/call/default/room", {})
                assert made.status == 201
                anna.base = base(there)
                answer = await anna.ask("GET", "/video/call/default/room", watching=True)
                assert answer.status == 200, answer.body
                other.sent = 1
                await other.number(call=ROOM)
                assert (await anna.event())["custom"]["n"] == 1
            async with watching(here.gateway, ROOM) as watcher:
                sender.sent = 2
                await sender.number(2, call=ROOM)
                assert await watcher.numbers(2) == [2, 3]
                cursor = watcher.cursor
            other.sent = 4
            await other.number(3, call=ROOM)
            async with watching(there.gateway, ROOM, since=cursor) as watcher:
                assert watcher.first["recovered"] is True
                assert await watcher.numbers(3) == [4, 5, 6]
                cursor = watcher.cursor
            bearer = {"Authorization": token()}
            url = f"{base(here)}/feed/tickets?api_key={KEY}"
            async with sender._session.post(url, headers=bearer) as response:
                ticket = (await response.json())["ticket"]
            query = {"call": ROOM, "ticket": ticket, "since": cursor}
            async with events(there.gateway, bearer="", **query) as stream:
                said, _ = await stream.hear()
                assert said["recovered"] is True
                sender.sent = 7
                await sender.number(call=ROOM)
                said, _ = await stream.hear()
                assert said["event"]["custom"]["n"] == 7
        for each in replicas.both:
            assert (await each.gateway.settled(within_s=120))["overall"]["published"] == 7


def base(replica):
    return f"http://127.0.0.1:{replica.gateway.port}"
