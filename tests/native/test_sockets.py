"""Who sends nothing but plain requests is read by the C piece: nobody can tell, from outside."""

import asyncio
import os
import signal
import socket
import struct

import pytest
from support.doorway import CHUNKED, FAST, HOPS, MAX_BODY, QUERY, connected, opened, same
from support.engines import supervised
from support.eventually import eventually
from support.webhooks import distinct_event, signed_request

from gateway import native
from gateway.ingest.answers import STORED, UNAUTHORIZED
from gateway.ingest.socket_reader import SocketReader

pytestmark = pytest.mark.skipif(native.sockets is None, reason="the C piece is not built here")


def good(n, way=FAST, extra=""):
    body = distinct_event(n)
    return way.request(body, signed_request(body), extra)


def large(n):
    body = distinct_event(n)[:-1] + b',"pad":"' + b"x" * (MAX_BODY - 2000) + b'"}'
    return FAST.request(body, signed_request(body))


def joined(doorway):
    """Those that are read by the C piece; their transports must not read."""
    found = [one for one in doorway.connections if getattr(one, "_joined", -1) >= 0]
    assert not any(one._transport.is_reading() for one in found)
    return found


async def test_a_plain_sender_joins_and_comes_back(tmp_path):
    """It joins with a plain request, leaves where one comes in pieces, and joins again."""
    async with opened(tmp_path) as doorway, connected(doorway.port) as client:
        for n in range(0, 9, 3):
            for whole in good(n), good(n + 1):
                same(await client.ask(whole), STORED)
                assert len(joined(doorway)) == 1
            client.send(good(n + 2)[:200])
            await eventually(lambda: not joined(doorway))
            same(await client.ask(good(n + 2)[200:]), STORED)
        assert len(doorway.events()) == 9


async def test_a_refused_sender_is_answered_on(tmp_path):
    """After a refusal the next request is as good as ever."""
    async with opened(tmp_path) as doorway, connected(doorway.port) as client:
        for n in range(3):
            same(await client.ask(good(n)), STORED)
            same(await client.ask(FAST.request(b"{}", {})), UNAUTHORIZED)
        assert len(doorway.events()) == 3


SEQUELS = {
    "in-two-pieces": [good(1)[:300], good(1)[300:]],
    "byte-by-byte": [good(1)[at : at + 1] for at in range(len(good(1)))],
    "two-in-one": [good(1) + good(2)],
    "one-and-a-half": [good(1) + good(2)[:100], good(2)[100:]],
    "larger-than-a-look": [large(1)],
    "too-large": [b"POST /webhooks/stream HTTP/1.1\r\nHost: a\r\nContent-Length: 999999\r\n\r\n"],
    "forged": [FAST.request(b"{}", {"X-Signature": "0" * 64, "X-Api-Key": "demo-key"})],
    "forged-and-good": [
        FAST.request(b"{}", {"X-Signature": "0" * 64, "X-Api-Key": "demo-key"}) * 2 + good(1),
        FAST.request(b"{}", {"X-Signature": "0" * 64, "X-Api-Key": "other-key"}),
        good(2),
    ],
    "nobodys": [FAST.request(b"{}", {"X-Signature": "0" * 64, "X-Api-Key": "no-key"}), good(1)],
    "forged-and-coded": [
        FAST.request(
            b"{}", {"X-Signature": "0" * 64, "X-Api-Key": "demo-key", "Content-Encoding": "br"}
        ),
        good(1),
    ],
    "over-aiohttp": [good(1, QUERY)],
    "chunked": [good(1, CHUNKED)],
    "unusual-connection": [good(1, HOPS)],
    "the-last": [good(1, extra="Connection: close\r\n")],
    "no-http": [b"\x16\x03\x01 hello\r\n\r\n"],
    "nothing": [],
}


async def _conversation(folder, pieces, *, is_native):
    """All that is answered to a plain request, then `pieces`, then the end; and what is stored."""
    async with opened(folder, is_native=is_native) as doorway, connected(doorway.port) as client:
        same(await client.ask(good(0)), STORED)
        assert len(joined(doorway)) == is_native
        for piece in pieces:
            client.send(piece)
            await client.writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)
        client.writer.write_eof()
        answered = await client.rest()
        await eventually(lambda: not doorway.connections)
        dates = [line for line in answered.split(b"\r\n") if line.startswith(b"Date: ")]
        for date in dates:
            answered = answered.replace(date, b"Date: -")
        return answered, [event.body for event in doorway.events()]


@pytest.mark.parametrize("pieces", SEQUELS.values(), ids=SEQUELS)
async def test_whatever_follows_is_answered_as_ever(tmp_path, pieces):
    """Answers, what is stored, and the end are the same as without the C piece."""
    ours = await _conversation(tmp_path / "a", pieces, is_native=True)
    assert ours == await _conversation(tmp_path / "b", pieces, is_native=False)


async def test_who_resets_is_forgotten(tmp_path):
    """A descriptor that was a member's is as good as any other for the next connection."""
    loop = asyncio.get_running_loop()
    async with opened(tmp_path) as doorway:
        for n in range(5):
            with socket.socket() as peer:
                peer.setblocking(False)
                await loop.sock_connect(peer, ("127.0.0.1", doorway.port))
                await loop.sock_sendall(peer, good(n))
                assert (await loop.sock_recv(peer, 4096)).startswith(b"HTTP/1.1 200 OK\r\n")
                assert len(joined(doorway)) == 1
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await eventually(lambda: not doorway.connections)
        assert len(doorway.events()) == 5


async def test_an_idle_member_is_swept(tmp_path):
    """Deadlines hold for who is read by the C piece as for anybody."""
    async with opened(tmp_path, keepalive_timeout_s=0.5) as doorway:
        async with connected(doorway.port) as client:
            same(await client.ask(good(1)), STORED)
            assert len(joined(doorway)) == 1
            assert await client.rest() == b""
        assert not doorway.connections


async def test_draining_ends_members(tmp_path):
    """Idle ones are closed at once, and nothing is read any more."""
    async with opened(tmp_path) as doorway, connected(doorway.port) as client:
        same(await client.ask(good(1)), STORED)
        await doorway.listener.drain(60)
        assert await client.rest() == b""


async def test_many_are_read_in_one_look_and_the_others_in_the_next(tmp_path):
    """However many send at once, each is answered once."""
    many = 300
    async with opened(tmp_path, max_connections=many) as doorway:
        clients = [await asyncio.open_connection("127.0.0.1", doorway.port) for _ in range(many)]
        for turn in range(2):
            for n, (_, writer) in enumerate(clients):
                writer.write(good(turn * many + n))
            for reader, _ in clients:
                head = await reader.readuntil(b"\r\n\r\n{}")
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert len(joined(doorway)) == many
        for _, writer in clients:
            writer.close()
        assert doorway.answered(200) == 2 * many
        await eventually(lambda: not doorway.connections)


@pytest.mark.parametrize("ack", ["journal", "redis"])
async def test_what_rests_in_its_socket_is_journaled_all_the_same(tmp_path, ack):
    """While Redis hangs, requests that come are journaled, and answered when their mode says."""
    many = 8
    async with (
        supervised(tmp_path / "engine") as engine,
        opened(tmp_path / "gateway", ack=ack, url=engine.url) as doorway,
    ):
        clients = [await asyncio.open_connection("127.0.0.1", doorway.port) for _ in range(many)]
        await eventually(lambda: doorway.metrics.stream_up.total() == 1)
        for n, (reader, writer) in enumerate(clients):
            writer.write(good(n))
            await reader.readuntil(b"\r\n\r\n{}")
        await eventually(lambda: doorway.metrics.published.total() == many)
        os.kill(engine.pid, signal.SIGSTOP)
        try:
            for turn in (1, 2):  # the first makes the publisher busy, if nothing else does
                for n, (_, writer) in enumerate(clients[turn - 1 :: 2]):
                    writer.write(good(turn * 100 + n))
                there = many + turn * many // 2
                await eventually(lambda there=there: doorway.journal.next_number - 1 == there)
        finally:
            os.kill(engine.pid, signal.SIGCONT)
        for reader, writer in clients:
            await reader.readuntil(b"\r\n\r\n{}")
            writer.close()
        await eventually(lambda: doorway.metrics.published.total() == 2 * many)
        assert doorway.answered(200) == doorway.journal.next_number - 1 == 2 * many


async def test_the_publisher_may_come_after_the_end():
    """Whoever was at rest when all was closed is not woken, and what was submitted is flushed."""
    flushed = []
    inlet = SocketReader(native.sockets(), flush=lambda: flushed.append(1), may_rest=lambda: True)
    inlet._readable()
    inlet.close()
    inlet.take()
    inlet.take()
    assert len(flushed) == 3


@pytest.mark.parametrize(
    "call",
    [
        lambda: native.sockets(1),
        lambda: native.sockets().leave(),
        lambda: native.sockets().read(1),
    ],
)
def test_nonsense_raises(call):
    """A wrong call is an exception, never a crash."""
    with pytest.raises(TypeError):
        call()


def test_closed_ones_read_nothing():
    """After the end every call is harmless, or says what is wrong."""
    ended = native.sockets()
    ended.close()
    ended.close()
    assert ended.read() == 0
    assert ended.fileno() == -1
    ended.leave(object())
    with pytest.raises(OSError, match="Bad file descriptor"):
        ended.rest()
    with pytest.raises(OSError, match="Bad file descriptor"):
        ended.watch()
