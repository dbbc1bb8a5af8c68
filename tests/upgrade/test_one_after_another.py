"""An older version and ours on one data_dir and one Redis, one after another and back again."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from functools import partial

import pytest
from kept import kept
from services import refused, running_services
from support.commands import command
from support.engines import supervised
from support.eventually import eventually
from support.hard import first
from support.load import Load, assert_in_order
from support.ports import free_port
from support.running_gateway import RunningGateway
from support.servers import Server, data_lines

VERSIONS = [one.name for one in kept()]
NAMES = ("shipped", "failing", "refusing", "paused")
TURNS = 4  # the older one, ours, the older one, ours
EACH = 50  # events in a turn, at least
# How long a lease is that does not lapse, however busy the machine is, and one that has to end.
# Whose shard it is to be waits for up to half of it after a change of who is there.
LONG_LEASE, SHORT_LEASE = "20s", "4s"


TOLD_BY_ONE = {"before_start"}  # figures that one of the versions does not know


def _told_by_both(ledger):
    accounts = ledger["subscribers"].items()
    return ledger["overall"], {
        name: {what: one[what] for what in one if what not in TOLD_BY_ONE} for name, one in accounts
    }


class Course:
    """The turns of one data_dir, and what came of them."""

    def __init__(self, gateway, services, version, programs):
        self.gateway, self.services = gateway, services
        self._programs = [programs[version], programs["now"]]
        self.load = Load(gateway.port, pause_s=0.1)
        # What is delivered at once, and what is kept for the last turn: parked, buried, paused.
        services.answers = {"failing": 500, "refusing": refused}

    def program(self, turn):
        self.gateway.environ = self._programs[turn % 2]

    async def begin(self):
        """Start the first, with a subscriber that is paused."""
        self.program(0)
        for _ in range(2):  # it knows of the pause from its start
            await self.gateway.start()
            await self.gateway.up()
            await told(self.gateway, "subscriber", "pause", "paused")
            await self.gateway.stop()

    async def turn(self, number):
        """Start the next in turn, and wait until it has taken and delivered its share."""
        self.program(number)
        before = len(self.services.bodies("paused"))
        await self.gateway.start()
        await self.gateway.up()
        await eventually(partial(self.has_delivered, len(self.load.acked) + EACH), within_s=120)
        assert number % 2 == 0 or len(self.services.bodies("paused")) == before

    def has_delivered(self, count):
        load = self.load
        return len(load.acked) >= count and set(load.acked[:count]) <= set(
            self.services.bodies("shipped")
        )

    async def let_all_out(self):
        """In the last turn: nobody fails any more, the paused one goes on, and letters are revived,
        which the older one then delivers.
        """
        gateway, services = self.gateway, self.services
        services.answers = {}
        rows = json.loads(await told(gateway, "subscriber", "list", "--json"))
        assert {row["subscriber"]: row["state"] for row in rows}["paused"] == "paused"
        await told(gateway, "subscriber", "resume", "paused")
        await eventually(partial(self.is_tried, *NAMES), within_s=120)
        letters = (await gateway.ledger())["subscribers"]["refusing"]["buried"]
        assert letters > EACH
        said = await told(gateway, "dead", "revive", "refusing", "--all")
        assert f"revived {letters} dead letters" in said
        await gateway.stop()
        self.program(TURNS)
        await gateway.start()

    async def is_tried(self, *names):
        """Whether all is published, and these have nothing to wait for but their parked."""
        ledger = await self.gateway.ledger()
        return (
            ledger
            and not ledger["overall"]["in_journal"]
            and not any(
                ledger["subscribers"][name]["waiting"][what]
                for name in names
                for what in ("unread", "in_flight")
            )
        )

    async def verdict(self, *, most_often=1):
        """Everything acknowledged came to everybody, so often at most, and nothing else did; the
        ledger says so under both versions.
        """
        ledger, acked = await self.gateway.settled(within_s=120), set(self.load.acked)
        await self.gateway.stop()
        self.program(TURNS + 1)
        await self.gateway.start()
        assert _told_by_both(await self.gateway.settled(within_s=120)) == _told_by_both(ledger)
        assert ledger["overall"]["published"] == len(acked)
        assert ledger["overall"]["accepted"] == len(acked) + ledger["overall"]["duplicates"]
        for name in NAMES:
            assert ledger["subscribers"][name]["delivered"] == len(acked), name
            bodies = self.services.bodies(name)
            assert set(bodies) == acked, name
            assert max(bodies.count(body) for body in acked) <= most_often, name
        assert_in_order(self.services.bodies("shipped"))


@asynccontextmanager
async def course(folder, version, programs, *, timeout="10s", **config):
    """Many turns to come, on a socket that outlives them; at the end the gateway is stopped, and
    has told of no defect. What is parked and was taken is hidden for three time-outs and 10 s.
    """
    async with running_services() as services:
        listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        subscribers = services.subscribers(*NAMES, timeout=timeout)
        config = {"subscribers": subscribers, **config}
        gateway = RunningGateway(folder / "g", config, listening=listening)
        try:
            yield Course(gateway, services, version, programs)
        finally:
            if gateway.is_running():
                await gateway.stop()
            listening.close()
        assert "Traceback" not in gateway.log_text, gateway.log_text


async def told(gateway, *args):
    code, said = await command(gateway, *args)
    assert code == 0, said
    return said


@pytest.mark.parametrize("workers", first(1, 2))
@pytest.mark.parametrize("version", VERSIONS)
async def test_stopped_under_load(tmp_path, programs, version, workers):
    """SIGTERM under load each time, ours with more workers or not: each goes on where the other
    stopped; nothing is lost and nothing comes twice, of what was parked, buried or paused neither.
    """
    redis = {"lease": LONG_LEASE}
    async with course(tmp_path, version, programs, redis=redis, server={"drain": "60s"}) as turns:
        await turns.begin()
        sending = asyncio.create_task(turns.load.run(1_000_000))
        for number in range(TURNS):
            turns.gateway.config["server"]["workers"] = workers if number % 2 else 1
            await turns.turn(number)
            if number < TURNS - 1:
                assert await turns.gateway.stop() == 0
        turns.load.stop = True
        await sending
        await turns.let_all_out()
        await turns.verdict()


@pytest.mark.parametrize("where", first("embedded", "elsewhere"))
@pytest.mark.parametrize("version", VERSIONS)
async def test_killed_under_load(tmp_path, programs, version, where):
    """kill -9 under load each time, with its engine or without: nothing is lost; only what was
    under way comes again, and no event more often than somebody was killed.
    """
    redis = {"lease": SHORT_LEASE}
    async with course(tmp_path, version, programs, timeout="2s", redis=redis) as turns:
        async with engine(where, tmp_path / "r") as url:
            redis["url"] = url
            await turns.begin()
            sending = asyncio.create_task(turns.load.run(1_000_000))
            for number in range(TURNS):
                await turns.turn(number)
                if number < TURNS - 1:
                    await turns.gateway.kill()
            turns.load.stop = True
            await sending
            await turns.let_all_out()
            await turns.verdict(most_often=TURNS)
            await turns.gateway.stop()


@asynccontextmanager
async def engine(where, folder):
    if where == "embedded":
        yield "embedded"
        return
    async with supervised(folder) as redis:
        yield redis.url


@pytest.mark.parametrize("version", VERSIONS)
async def test_stopped_while_redis_is_away(tmp_path, programs, version):
    """Each is stopped with a rest in its journal, and the next one takes more before Redis is back:
    all of it comes, once, and in the order of its call.
    """
    redis = Server(tmp_path / "r", free_port(), data_lines())
    config = {"redis": {"url": f"redis://127.0.0.1:{redis.port}"}, "server": {"drain": "1s"}}
    await redis.start()
    try:
        async with course(tmp_path, version, programs, **config) as turns:
            await turns.begin()
            for number in range(TURNS):
                turns.program(number)
                if number:
                    await turns.gateway.start()
                    await send(turns, EACH // 2)
                    assert not await turns.gateway.is_up()
                    await redis.start()
                else:
                    await turns.gateway.start()
                await send(turns, EACH // 2)
                delivered = partial(turns.has_delivered, len(turns.load.acked))
                await eventually(delivered, within_s=120)
                await eventually(partial(turns.is_tried, "shipped", "refusing"), within_s=120)
                if number < TURNS - 1:
                    await redis.kill()
                    await send(turns, EACH // 2)
                    assert await turns.gateway.stop() == 0
            await turns.let_all_out()
            await turns.verdict()
            await turns.gateway.stop()
    finally:
        await redis.close()


async def send(turns, count):
    await turns.load.run(count, first=len(turns.load.acked))
