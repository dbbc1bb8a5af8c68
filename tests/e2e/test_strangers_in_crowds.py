"""Good traffic beside crowds of strangers, counted in requests answered. Full counts by
`make test-long`.
"""

import asyncio
import gzip
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support import jwts
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.running_gateway import running_gateway
from support.strangers import BAD_WEBHOOK, HEALTH, UNSIGNED, room_for, strangers
from support.webhooks import API_KEY, SECRET, distinct_event

from gateway import open_files
from gateway.options import Config, ServerOptions

LONG = bool(os.environ.get("GATEWAY_LONG"))
IDLE, HALF_SPOKEN, PLACES = (10_000, 4_096, 4_096) if LONG else (600, 240, 200)
EVENTS = 2_000 if LONG else 200
MIB = 1 << 20
LOG = [{"name": "console", "kind": "log"}]
_CHUNKED = b"POST /webhooks/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
# How each begins, and what it says again and again, slowly.
SLOW = {
    "request line": (b"POST /web", b"h"),
    "head": (UNSIGNED[:50], b"x"),
    "body": (UNSIGNED % 100_000, b"x"),
    "head elsewhere": (b"GET /healthz HTTP/1.1\r\nA", b"x"),
    "chunk": (_CHUNKED + b"ffff\r\n", b"x"),
    "chunk's extension": (_CHUNKED + b"5;", b"x"),
    "trailer": (_CHUNKED + b"5\r\nhello\r\n0\r\nX", b"x"),
    "second request": (HEALTH + b"GET /h", b"x"),
    "lines before a request": (b"\r\n", b"\r\n"),
    "watcher's handshake": (b"GET /feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nA: ", b"x"),
}


def memory(pid):
    """What a process holds, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))


async def send(gateway, count, *, first=0, connections=8, fresh=0, refused=frozenset()):
    """Send events over connections that are kept, or each over one of its own; all are 200 at
    once, but for answers in `refused`, after which they are sent again. Returns how many.
    """
    kept, new = Load(gateway.port), Load(gateway.port)
    waves = [kept.run(count, connections=connections, first=first)]
    for begin in range(0, fresh, 50):
        number = min(50, fresh - begin)
        waves.append(new.run(number, connections=number, first=first + count + begin))
    for wave in waves:
        await wave
    statuses = kept.statuses + new.statuses
    assert statuses[200] == count + fresh
    assert set(statuses) <= {200, *refused}, statuses
    return count + fresh


async def adds_up(gateway, accepted):
    ledger = await gateway.settled()
    assert ledger["overall"]["published"] == accepted
    assert ledger["subscribers"]["console"]["delivered"] == accepted


@asynccontextmanager
async def a_gateway(folder, count=0, **more):
    if not room_for(count):
        pytest.skip(f"this machine has no {count} open files for one process")
    server = {"max_connections": PLACES, **more.pop("server", {})}
    async with running_gateway(folder / "g", server=server, subscribers=LOG, **more) as gateway:
        yield gateway


@pytest.mark.parametrize(
    "first", first(b"", HEALTH, BAD_WEBHOOK), ids=["silent", "spoke", "unsigned"]
)
async def test_idle_strangers_keep_no_webhook_out(tmp_path, first):
    """Many more idle connections than there are places: every webhook is 200, on connections that
    were there and on new ones.
    """
    async with a_gateway(tmp_path, IDLE) as gateway:
        accepted = await send(gateway, EVENTS)
        with strangers(gateway.port) as some:
            coming = asyncio.create_task(some.come(IDLE, first))
            accepted += await send(gateway, EVENTS, first=accepted, fresh=EVENTS)
            await coming
            accepted += await send(gateway, EVENTS, first=accepted, fresh=EVENTS)
            assert await gateway.metric("gateway_connections") <= PLACES
        await adds_up(gateway, accepted)


async def test_unfinished_requests_keep_no_webhook_out(tmp_path):
    """As many half-spoken connections as there are places, on every path: every webhook is 200."""
    starts = [UNSIGNED[:70], UNSIGNED % 5_000 + b"x" * 4_000, HEALTH[:-3], _CHUNKED + b"5\r\nhe"]
    server = {"header_timeout": "10m", "body_timeout": "10m"}
    async with a_gateway(tmp_path, HALF_SPOKEN, server=server) as gateway:
        with strangers(gateway.port) as some:
            for start in starts:
                await some.come(HALF_SPOKEN // len(starts), start)
            accepted = await send(gateway, EVENTS, fresh=EVENTS)
            await some.come(100, b"")
            accepted += await send(gateway, EVENTS, first=accepted, fresh=EVENTS)
        await adds_up(gateway, accepted)


@pytest.mark.parametrize("kind", first(*SLOW))
async def test_who_drips_is_ended(tmp_path, kind):
    """However slowly a stranger speaks, there is a deadline; meanwhile webhooks are answered."""
    begins, goes_on = SLOW[kind]
    count = 500 if LONG else 40
    server = {"header_timeout": "1s", "body_timeout": "1s"}
    async with a_gateway(tmp_path, count, server=server) as gateway:
        with strangers(gateway.port) as some:
            await some.come(count, begins)
            accepted = 0

            async def all_ended():
                nonlocal accepted
                some.say(goes_on)
                accepted += await send(gateway, 16, first=accepted)
                return some.ended() == count

            await eventually(all_ended)
        await adds_up(gateway, accepted)


async def test_bodies_that_strangers_withhold_keep_no_webhook_out(tmp_path):
    """300 strangers with a body of 1 MiB but for its last byte, and 50 new connections that bring
    1 MiB each: all 50 are 200, and memory stays within its bound.
    """
    count, many = (300, 50) if LONG else (90, 10)
    server = {} if LONG else {"max_unfinished": "24MiB"}
    bound = (64 if LONG else 24) * MIB
    async with a_gateway(tmp_path, count, server=server) as gateway:
        accepted = await send(gateway, EVENTS)
        before = memory(gateway.pid)
        with strangers(gateway.port) as some:
            await some.come(count, UNSIGNED % MIB + b"x" * (MIB - 1))
            most = memory(gateway.pid)
            load = Load(gateway.port)
            bodies = [distinct_event(accepted + n, size_bytes=MIB) for n in range(many)]
            streams = [await asyncio.open_connection("127.0.0.1", gateway.port) for _ in bodies]
            sent = (load._send(each, body) for each, body in zip(streams, bodies, strict=True))
            assert [status for status, _ in await asyncio.gather(*sent)] == [200] * many
            for _, writer in streams:
                writer.close()
            await eventually(lambda: some.ended() >= count - bound // MIB)
        assert most - before < bound + 40 * MIB
        await adds_up(gateway, accepted + many)


async def test_floods_and_bombs_are_refused(tmp_path):
    """Connections that come and go without end, forged and inflating bodies: webhooks beside them
    are 200, and memory is as before.
    """
    rounds = 50 if LONG else 5
    bomb = gzip.compress(bytes(256 * MIB))[: MIB - 1]
    forged = UNSIGNED % len(bomb) + bomb
    async with a_gateway(tmp_path, 400) as gateway:
        accepted = await send(gateway, EVENTS)
        before, stop = memory(gateway.pid), asyncio.Event()

        async def flood():
            while not stop.is_set():
                with strangers(gateway.port) as some:
                    await some.come(100, HEALTH * 20)
                    await some.come(4, forged)
                    await some.come(100, BAD_WEBHOOK * 10)

        flooding = asyncio.create_task(flood())
        for _ in range(rounds):
            accepted += await send(gateway, 40, first=accepted, fresh=40)
        stop.set()
        await flooding
        assert memory(gateway.pid) - before < 80 * MIB
        await adds_up(gateway, accepted)


def watching(user):
    """A request of server-sent events, by a user with a token."""
    now = int(time.time())
    token = jwts.encode({"user_id": user, "iat": now - 5, "exp": now + 3_600}, SECRET, "HS256")
    path = f"/feed?api_key={API_KEY}&call=default:room"
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n\r\n".encode()


async def test_watchers_leave_files_to_webhooks(tmp_path):
    """Many more watchers than there are files: as many watch as have files of theirs, the others
    are turned away, and every webhook is 200.
    """
    limit = 1_024 if LONG else 200
    async with a_gateway(tmp_path, 2 * limit, files=limit, feed={"access": "any"}) as gateway:
        await gateway.up()
        used = sum(1 for _ in Path(f"/proc/{gateway.pid}/fd").iterdir())
        config = Config(server=ServerOptions(max_connections=PLACES))
        theirs = open_files.room(config, limit, used).watchers_below - used
        with strangers(gateway.port) as some:
            for user in range(0, 2 * limit, 10):  # as many as one user may have
                await some.come(10, watching(f"user-{user}"))
            watch = 'gateway_feed_connections{protocol="plain"}'

            async def all_settled():
                return await gateway.metric(watch) + some.ended() >= 2 * limit

            await eventually(all_settled)
            # Some of what is open now was not when the files were divided.
            assert theirs * 3 / 4 <= await gateway.metric(watch) <= theirs * 5 / 4
            accepted = await send(gateway, 50, connections=4, fresh=20)
        await adds_up(gateway, accepted)


FOREIGN = (
    b"GET /feed HTTP/1.1\r\nHost: x\r\nOrigin: https://elsewhere.example\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


async def test_who_has_been_told_to_go_leaves_files_to_webhooks(tmp_path):
    """Sockets that were closed with a word and do not answer it have files like watchers: they
    take none of those that are left to webhooks, every one of which is 200.
    """
    limit = 200
    async with a_gateway(tmp_path, 2 * limit, files=limit) as gateway:
        await gateway.up()
        closing = 'gateway_feed_connections{protocol="closing"}'
        with strangers(gateway.port) as some:
            for _ in range(0, 2 * limit, 20):
                await some.come(20, FOREIGN)

            async def all_answered():
                return await gateway.metric(closing) + some.ended() >= 2 * limit

            await eventually(all_answered)
            accepted = await send(gateway, 50, connections=4, fresh=20)

        async def all_gone():
            return await gateway.metric(closing) == 0

        await eventually(all_gone)
        await adds_up(gateway, accepted)


RETURNING = {
    "silent": b"",
    "spoke": HEALTH,
    "half a head": UNSIGNED[:60],
    "half a body": UNSIGNED % 5_000 + b"x" * 1_000,
}


@pytest.mark.hard
@pytest.mark.parametrize("kind", RETURNING)
@pytest.mark.parametrize("files", [256, 1_024, None] if LONG else [256, None])
async def test_strangers_who_come_back_without_a_pause(tmp_path, files, kind):
    """More of them than there are places or files, each of whom comes again as soon as it is
    ended: whoever brings a webhook is answered, 200 or at the worst 503, and never reset.
    """
    count = {256: 300, 1_024: 900, None: 100}[files] if LONG else 140
    server = {"max_connections": 50} if files is None else {"max_connections": 4_096}
    async with a_gateway(tmp_path, 2 * count, files=files, server=server) as gateway:
        with strangers(gateway.port) as some:
            flood = asyncio.create_task(some.return_for_ever(count, RETURNING[kind]))
            await eventually(lambda: some.came > 1.5 * count, within_s=60)
            accepted = await send(gateway, 4, connections=2, fresh=6, refused={503})
            flood.cancel()
            await asyncio.wait([flood])
        await adds_up(gateway, accepted)


@pytest.mark.parametrize("workers", first(1, 2))
@pytest.mark.parametrize("limit", [100, 1_024])
async def test_few_files(tmp_path, limit, workers):
    """Where hardly any files may be open, strangers are turned away and webhooks are not: with a
    thousand files never, with a hundred a few are told 503 and come again, and none is reset.
    Nothing ends, what does not fit is told at the start, and afterwards all is as before.
    """
    async with a_gateway(tmp_path, 3_000, files=limit, server={"workers": workers}) as gateway:
        told = gateway.log_text.count(f"at most {limit} files may be open: the gateway itself")
        assert told == (1 if limit == 100 else 0)
        pids = {gateway.pid, *gateway.workers().values()}
        accepted, fresh = 0, 20 if limit > 100 else 4
        refused = frozenset() if limit > 100 else {503}
        with strangers(gateway.port) as some:
            await some.come(2 * limit, HEALTH)
            accepted += await send(gateway, 50, connections=4, fresh=fresh, refused=refused)
        with strangers(gateway.port) as some:
            await some.come(2 * limit, UNSIGNED[:60])
            accepted += await send(
                gateway, 50, first=accepted, connections=4, fresh=fresh, refused=refused
            )
        accepted += await send(gateway, 50, first=accepted, connections=4, refused=refused)
        await adds_up(gateway, accepted)
        assert {gateway.pid, *gateway.workers().values()} == pids
        if limit > 100:
            assert "cannot accept" not in gateway.log_text
