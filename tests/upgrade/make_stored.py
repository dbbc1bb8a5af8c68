"""Keeps this checkout's gateway as a version that the tests upgrade from and go back to:

    .venv/bin/python tests/upgrade/make_stored.py NAME

Packs its code, runs that for real, has it take, deliver, park and bury, freezes its engine so that
the journal gets a rest, and kills it. Writes `versions/NAME/`: gateway.tar.xz, stored.tar.xz and
stored.json.
"""

import asyncio
import io
import json
import os
import signal
import sys
import tarfile
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from feed_plain.plain_client import watching
from kept import Version, unpack_code
from services import HANGS, SUBSCRIBERS, bounds, refused, running_services
from support.commands import command
from support.eventually import eventually
from support.feed import Sender
from support.processes import freeze
from support.running_gateway import RunningGateway
from support.stream_client import stream_client
from support.webhooks import distinct_event

SOURCES = Path(__file__).parents[2] / "gateway"
SUFFIXES = {".py", ".lua", ".json", ".js", ".html", ".css", ".svg"}
WATCHED = "default:call-0"
PASSING = {"owner.lock", "server.lock", "gateway.lock", "socket.path", "valkey.sock", "valkey.log"}


def pack(archive: Path, files: dict[str, Path]) -> None:
    """Write files by their names; the same files make the same archive."""
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))


def files_below(folder: Path, prefix: str = "") -> dict[str, Path]:
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in PASSING)
    return {prefix + path.relative_to(folder).as_posix(): path for path in paths}


class Making:
    """A gateway on its way to what is to be stored, and a list of all that it acknowledged."""

    def __init__(self, gateway, services, sender):
        self.gateway, self.services, self._sender = gateway, services, sender
        self.events: list[bytes] = []
        self.accepted = self.duplicates = self.not_events = 0
        self.calls = {}
        self._numbers = count()

    async def send(self, body):
        await self._sender.send(body)
        self.accepted += 1
        if body in self.events:
            self.duplicates += 1
        else:
            self.events.append(body)

    async def numbers(self, how_many):
        """Events of our own app's clients, over six calls."""
        for _ in range(how_many):
            n = next(self._numbers)
            await self.send(distinct_event(n, f"default:call-{n % 6}"))

    async def call(self, number, kind, topic):
        """Stream's word on a call."""
        cid, at = f"default:call-{number}", "2026-11-20T10:00:00Z"
        state = {
            "cid": cid,
            "type": "default",
            "id": f"call-{number}",
            "custom": {"topic": topic},
            "created_at": at,
            "updated_at": at,
            "created_by": {"id": "anna"},
        }
        event = {"type": kind, "created_at": at, "call_cid": cid, "call": state}
        if kind == "call.created":
            event["members"] = [{"user_id": "ben", "created_at": at}]
        await self.send(json.dumps(event, separators=(",", ":")).encode())
        self.calls[cid] = {"custom": {"topic": topic}, "members": ["ben"]}

    async def no_event(self, body):
        await self._sender.send(body)
        self.accepted += 1
        self.not_events += 1

    async def burst(self, how_many, pid):
        """Events of calls of their own, in the midst of which the engine is frozen."""
        bodies = [
            distinct_event(n, f"default:burst-{n}")
            for n in (next(self._numbers) for _ in range(how_many))
        ]
        sending = [asyncio.create_task(self.send(body)) for body in bodies]
        await eventually(lambda: sum(one.done() for one in sending) >= how_many // 4)
        await freeze(pid)
        await asyncio.gather(*sending)

    # ---- what there is

    async def account(self, name):
        ledger = await self.gateway.ledger()
        return ledger and not ledger["overall"]["in_journal"] and ledger["subscribers"][name]

    async def is_tried(self, name, *waiting):
        account = await self.account(name)
        return account and not any(account["waiting"][what] for what in waiting)

    async def tried(self):
        """Wait until everybody has all that it will get for now."""
        for name in ("shipped", "picky", "refusing"):
            await eventually(lambda name=name: self.is_tried(name, "unread", "in_flight", "parked"))
        for name in ("failing", "left"):
            await eventually(lambda name=name: self.is_tried(name, "unread", "in_flight"))

    async def rows(self):
        code, said = await command(self.gateway, "subscriber", "list", "--json")
        assert code == 0, said
        return {row["subscriber"]: row["state"] for row in json.loads(said)}

    async def is_paused(self, name):
        return (await self.rows())[name] == "paused"

    async def letters(self, name):
        """The dead letters: the index of the event, and the reason."""
        _, said = await command(self.gateway, "dead", "list", name, "--json", "--limit", "1000")
        ids = [letter["id"] for letter in json.loads(said[said.index("[") : said.rindex("]") + 1])]
        code, said = await command(self.gateway, "dead", "show", name, "--json", *ids)
        assert code == 0, said
        return {
            letter["id"]: (letter["body"].encode(), letter["reason"]) for letter in json.loads(said)
        }


async def made(making: Making) -> dict:
    """Bring the gateway to where it is killed; return the manifest."""
    gateway, services = making.gateway, making.services
    services.answers = {"failing": 500, "refusing": refused, "closed": 410, "left": 500}
    await gateway.up()
    assert (await command(gateway, "subscriber", "pause", "paused"))[0] == 0
    await gateway.stop()
    await gateway.start()
    await gateway.up()

    # Delivered, parked, buried, unread; states of calls, of which one is made here.
    for number in range(6):
        await making.call(number, "call.created", f"topic {number}")
    base = f"http://127.0.0.1:{gateway.port}"
    async with stream_client(base, "anna") as anna:
        await eventually(lambda: knows(anna, "default:call-0"))
        async with watching(gateway, WATCHED, user="anna") as watcher:
            await making.numbers(24)
            assert await watcher.numbers(4) == [0, 6, 12, 18]
            cursor = watcher.cursor
        await making.tried()
        reply = await anna.ask("POST", "/video/call/default/made", {"data": {"custom": {"a": 1}}})
        assert reply.status == 201
        making.calls["default:made"] = {"custom": {"a": 1}, "members": []}
        sent = {"custom": {"n": 9001}}
        reply = await anna.ask("POST", "/video/call/default/made/event", sent)
        assert reply.status == 201
        making.accepted += 1
        await eventually(lambda: b"9001" in b"".join(services.bodies("shipped")))
        making.events += [body for body in services.bodies("shipped") if b"9001" in body]
    await making.send(making.events[3])
    await making.no_event(b"no event")
    await making.tried()
    await eventually(lambda: making.is_paused("closed"))
    letters = await making.letters("refusing")
    purged_id, (purged, _) = next(iter(letters.items()))
    del letters[purged_id]
    assert (await command(gateway, "dead", "purge", "refusing", purged_id))[0] == 0
    delivered = {name: services.bodies(name) for name in SUBSCRIBERS}

    # A journal of several files; then nobody answers any more: in flight.
    await gateway.stop()
    await gateway.start()
    await gateway.up()
    services.answers = dict.fromkeys(SUBSCRIBERS, HANGS)
    asked = services.asked.copy()
    await making.numbers(12)
    await eventually(lambda: making.account("shipped"))
    await eventually(
        lambda: all(
            services.asked[name] > asked[name]
            for name in ("shipped", "failing", "refusing", "left")
        )
    )

    # And the journal gets what Redis does not have.
    pid = gateway.engine_pid()
    await making.burst(16, pid)
    await making.numbers(18)
    await making.call(1, "call.updated", "another topic")
    await making.send(making.events[5])
    await making.send(making.events[-2])
    await making.no_event(b"no event either")
    await gateway.kill()
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert delivered == {name: services.bodies(name) for name in SUBSCRIBERS}
    return manifest(making, delivered, letters.values(), purged, cursor)


async def knows(client, cid):
    return (await client.ask("GET", f"/video/call/{cid.replace(':', '/')}")).status == 200


def manifest(making, delivered, letters, purged, cursor):
    """`events` are bodies, in the order of acceptance within a call; all else are places in it."""
    place = {body: at for at, body in enumerate(making.events)}
    return {
        "events": [body.decode() for body in making.events],
        "accepted": making.accepted,
        "duplicates": making.duplicates,
        "not_events": making.not_events,
        "delivered": {name: [place[body] for body in bodies] for name, bodies in delivered.items()},
        "letters": {"refusing": {place[body]: reason for body, reason in letters}},
        "purged": {"refusing": [place[purged]]},
        "states": {"paused": "paused", "closed": "paused"},
        "calls": making.calls,
        "watched": WATCHED,
        "cursor": cursor,
        "watched_numbers_behind": [
            event["custom"]["n"]
            for event in map(json.loads, making.events)
            if event["call_cid"] == WATCHED and event.get("custom", {}).get("n", 0) > 18
        ],
    }


async def make(version: Version) -> None:
    version.code.parent.mkdir(parents=True, exist_ok=True)
    code = {
        name: path
        for name, path in files_below(SOURCES, "gateway/").items()
        if path.suffix in SUFFIXES
    }
    pack(version.code, code)
    # The socket's path has to be short.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="gw-kept-") as name:
        folder = Path(name)
        environ = unpack_code(version.code, folder / "code")
        async with running_services() as services:
            # What is parked and under way is hidden for some of these time-outs.
            subscribers = services.subscribers(*SUBSCRIBERS, timeout="10s")
            config = {"subscribers": subscribers, **bounds()}
            gateway = RunningGateway(folder / "g", config)
            gateway.environ = environ
            await gateway.start()
            try:
                async with Sender(gateway) as sender:
                    found = await made(Making(gateway, services, sender))
            finally:
                await gateway.stop()
            pack(version.data, files_below(gateway.data))
    version.told.write_text(json.dumps(found, indent=1) + "\n")
    for path in (version.code, version.data, version.told):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(make(Version(sys.argv[1])))
