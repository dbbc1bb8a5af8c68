"""What a version before left, a data_dir and a Redis as files, is taken over by whoever comes."""

import json
from contextlib import asynccontextmanager
from functools import partial

import orjson
import pytest
from feed_plain.plain_client import watching
from kept import kept
from services import SUBSCRIBERS, bounds, running_services
from support.commands import command
from support.engines import supervised
from support.eventually import eventually
from support.feed import Sender
from support.hard import first
from support.running_gateway import RunningGateway
from support.stream_client import stream_client

STAY = [name for name in SUBSCRIBERS if name != "left"]
VERSIONS = [pytest.param(version, id=version.name) for version in kept()]


class Taken:
    """A gateway that takes over, not started yet, and what it has to find."""

    def __init__(self, gateway, services, version):
        self.gateway, self.services, self.told = gateway, services, version.manifest()
        self.events = [body.encode() for body in self.told["events"]]

    async def start(self):
        await self.gateway.start()
        await self.gateway.up()

    def configure(self, *names):
        self.gateway.config["subscribers"] = self.services.subscribers(*names)

    def buried(self, name):
        return {self.events[int(at)]: why for at, why in self.told["letters"].get(name, {}).items()}

    def waiting(self, name):
        """What was acknowledged and has to come to `name`, in order within a call."""
        gone = {
            self.events[at] for of in ("delivered", "purged") for at in self.told[of].get(name, [])
        } | self.buried(name).keys()
        match = '"type":"call.' if name == "picky" else ""
        return [body for body in self.events if body not in gone and match in body.decode()]

    async def came(self, *names):
        """Wait until all that waited has come to these, and see that nothing else or twice has."""
        for name in names:
            expected = self.waiting(name)
            assert expected
            await eventually(partial(self.is_done, name, set(expected)), within_s=120)
            assert sorted(self.services.bodies(name)) == sorted(expected), name

    async def is_done(self, name, bodies=frozenset()):
        """Whether these have come to it, and nothing waits for it."""
        ledger = await self.gateway.ledger()
        came = bodies <= set(self.services.bodies(name))
        return came and ledger and not any(ledger["subscribers"][name]["waiting"].values())

    async def balanced(self):
        ledger = await eventually(self.gateway.ledger, within_s=120)
        assert ledger["balanced"], ledger
        return ledger

    async def command(self, *args):
        code, said = await command(self.gateway, *args)
        assert code == 0, said
        return said

    async def rows(self):
        said = await self.command("subscriber", "list", "--json")
        return {row["subscriber"]: row for row in json.loads(said)}


@asynccontextmanager
async def left_by(version, folder, programs, *, by="now", where="embedded", workers=1):
    """What `version` has left, its Redis `where` it is said, and `by` to run on it."""
    async with running_services() as services:
        config = {"subscribers": services.subscribers(*STAY), **bounds()}
        gateway = RunningGateway(folder / "g", {"server": {"workers": workers}, **config})
        version.unpack_data(gateway.data)
        taken = Taken(gateway, services, version)
        async with place(taken, folder / "r", where):
            gateway.environ = programs[by]
            try:
                yield taken
            finally:
                if gateway.is_running():
                    await gateway.stop()
        assert "Traceback" not in gateway.log_text, gateway.log_text


@asynccontextmanager
async def place(taken, folder, where):
    """Its engine's data: as it is, the same files as a Redis elsewhere, or moved to one by us."""
    gateway = taken.gateway
    if where == "embedded":
        yield
        return
    if where == "elsewhere":
        folder.mkdir()
        (gateway.data / "valkey").rename(folder / "valkey")
    async with supervised(folder) as redis:
        gateway.config["redis"] = {"url": redis.url}
        gateway.write_config()
        if where == "moved":
            would = (await taken.command("move", "--dry-run")).removeprefix("would move: ").strip()
            letters = len(taken.buried("refusing")) + 1  # the gateway's own that is published
            assert would.endswith(f" {letters} dead letters")
            assert f"moved: {would}" in await taken.command("move")
            assert not (gateway.data / "valkey" / "appendonlydir").exists()
        yield


def by_call(bodies):
    calls = {}
    for body in bodies:
        calls.setdefault(orjson.loads(body)["call_cid"], []).append(body)
    return calls


WAYS = [
    ("now", "embedded", 1),
    ("now", "embedded", 2),
    ("now", "elsewhere", 1),
    ("now", "moved", 1),
    *((one.name, "moved", 1) for one in kept()),
]
# Each of them is another way to start; one is enough for every day.
ONE_WAY = [WAYS[1], *(pytest.param(*way, marks=pytest.mark.hard) for way in WAYS if way != WAYS[1])]


@pytest.mark.parametrize(("by", "where", "workers"), ONE_WAY)
@pytest.mark.parametrize("version", VERSIONS)
async def test_every_event_comes_once(tmp_path, programs, version, by, where, workers):
    """Unread, in flight, parked, or in the journal alone: what was acknowledged and not delivered
    is delivered once, in the order of its call; who was paused is paused, who was buried stays
    buried, and who is configured no more keeps its backlog until it is again. The ledger adds up.
    """
    way = {"by": by, "where": where, "workers": workers}
    async with left_by(version, tmp_path, programs, **way) as taken:
        await taken.start()
        await taken.came("shipped", "failing", "refusing", "picky")
        assert by_call(taken.services.bodies("shipped")) == by_call(taken.waiting("shipped"))
        assert by != "now" or not taken.services.asked.keys() & {"paused", "closed", "left"}
        rows = await taken.rows()
        states = {name: rows[name]["state"] for name in taken.told["states"]}
        assert states == taken.told["states"]
        assert rows["left"]["state"] == "removed from config"
        overall = (await taken.balanced())["overall"]
        for what in ("accepted", "duplicates", "not_events"):
            assert overall[what] == taken.told[what], what
        assert overall["published"] == len(taken.events)
        assert overall["damaged"] == overall["outlived"] == overall["forgotten"] == 0

        for name in ("paused", "closed"):
            await taken.command("subscriber", "resume", name)
        await taken.came("paused", "closed")
        await taken.gateway.stop()
        taken.configure(*SUBSCRIBERS)
        await taken.start()
        await taken.came(*SUBSCRIBERS)
        accounts = (await taken.balanced())["subscribers"]
        for name in SUBSCRIBERS:
            delivered = len(taken.told["delivered"][name]) + len(taken.waiting(name))
            assert accounts[name]["delivered"] == delivered, name
            assert accounts[name]["buried"] == len(taken.buried(name)), name
            assert accounts[name]["discarded"] == len(taken.told["purged"].get(name, [])), name


@pytest.mark.parametrize("by", first("now", *(one.name for one in kept())))
@pytest.mark.parametrize("version", VERSIONS)
async def test_dead_letters_are_there_and_can_be_revived(tmp_path, programs, version, by):
    """Those of subscribers with the reason that they had, and each comes once more, marked as late;
    and the gateway's own.
    """
    async with left_by(version, tmp_path, programs, by=by) as taken:
        await taken.start()
        await taken.came("refusing")
        buried = taken.buried("refusing")
        assert set(buried.values()) == {"rejected", "gone"}
        said = await taken.command("dead", "list", "refusing", "--json", "--limit", "1000")
        listed = json.loads(said.splitlines()[0])
        ids = [letter["id"] for letter in listed]
        shown = json.loads(await taken.command("dead", "show", "refusing", "--json", *ids))
        assert {one["body"].encode(): one["reason"] for one in shown} == buried
        said = await taken.command("dead", "list", "--json")
        counts = {"refusing": len(buried), "gateway": taken.told["not_events"]}
        assert {name: count for name, count in json.loads(said).items() if count} == counts

        taken.services.taken["refusing"].clear()
        await taken.command("dead", "revive", "refusing", "--all")
        came = taken.services.taken["refusing"]
        await eventually(lambda: taken.is_done("refusing", buried.keys()), within_s=120)
        assert sorted(request.body for request in came) == sorted(buried)
        assert {request.headers.get("x-gateway-late") for request in came} == {"1"}
        assert (await taken.balanced())["subscribers"]["refusing"]["buried"] == 0


@pytest.mark.parametrize("by", first("now", *(one.name for one in kept())))
@pytest.mark.parametrize("version", VERSIONS)
async def test_calls_cursors_and_what_was_seen(tmp_path, programs, version, by):
    """The state of every call is known, with what the journal's rest says of it; a cursor of then
    goes on without a gap or a duplicate; what was taken then is a duplicate now.
    """
    async with left_by(version, tmp_path, programs, by=by) as taken:
        await taken.start()
        await taken.came("shipped")
        base = f"http://127.0.0.1:{taken.gateway.port}"
        async with stream_client(base, None) as server:
            for cid, state in taken.told["calls"].items():
                await eventually(partial(knows, server, cid, state), within_s=120)
        cid, cursor = taken.told["watched"], taken.told["cursor"]
        behind = taken.told["watched_numbers_behind"]
        async with watching(taken.gateway, cid, user="ben", since=cursor) as watcher:
            assert watcher.first["recovered"] is True
            assert await watcher.numbers(len(behind)) == behind
            async with Sender(taken.gateway) as sender:
                for body in (taken.events[0], taken.events[-3]):
                    await sender.send(body)
                sender.sent = 7001
                await sender.number(call=cid)
            assert await watcher.numbers(1) == [7001]
        await eventually(
            lambda: b"7001" in b"".join(taken.services.bodies("shipped")), within_s=120
        )
        assert len(taken.services.bodies("shipped")) == len(taken.waiting("shipped")) + 1
        overall = (await taken.balanced())["overall"]
        assert overall["duplicates"] == taken.told["duplicates"] + 2
        assert overall["published"] == len(taken.events) + 1


async def knows(client, cid, state):
    reply = await client.ask("GET", f"/video/call/{cid.replace(':', '/')}")
    if reply.status != 200:
        return False
    members = [member["user_id"] for member in reply.json["members"]]
    return {"custom": reply.json["call"]["custom"], "members": members} == state
