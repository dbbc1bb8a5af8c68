"""A frame's way to everybody who watches, on real sockets: with the C piece and without it."""

import asyncio
import socket
import ssl
import struct
from contextlib import asynccontextmanager

import pytest
import trustme
from support.eventually import eventually

from gateway import native
from gateway.event import Meta
from gateway.feed.connections import Connections
from gateway.feed.hub import Hub
from gateway.feed.websocket.connection import Goodbyes, SocketConnection
from gateway.metrics import Metrics
from gateway.options import FeedOptions
from gateway.store.watching.tail import TailEntry

OUTBOX, HELLO = 1 << 20, b"hello"


@pytest.fixture(params=["native", "python"], autouse=True)
def piece(request, monkeypatch):
    if request.param == "python":
        monkeypatch.setattr(native, "relay", None)
    elif native.relay is None:
        pytest.skip("the C piece is not built here")
    return request.param


class Watcher:
    """Watches one call; `told` says what its connection has told it."""

    def __init__(self, hub):
        self.app, self.calls, self.made_here, self.told = "app", set(), set(), []
        self._hub = hub

    def begin(self, transport):
        self.outlet = SocketConnection(
            transport, max_message_bytes=1024, outbox_bytes=OUTBOX, goodbyes=Goodbyes()
        )
        self.outlet.begin(self, HELLO)
        self._hub.relay(self, ["default:call"], lambda entry: entry.body)

    def overflowed(self):
        self.told.append("overflowed")
        self._hub.leave(self)

    def lost(self):
        self.told.append("lost")
        self._hub.leave(self)


class Room:
    """A hub, and the watchers that have come to it, in their order."""

    def __init__(self, port, hub, watchers):
        self.port, self.watchers, self._hub = port, watchers, hub

    def publish(self, *bodies):
        meta = Meta("app", "custom", "default:call", 0, "k", "", "", "webhook", "")
        for body in bodies:
            self._hub.offer(TailEntry(0, (1, 0), 1, meta, body))
        self._hub.flush()

    @asynccontextmanager
    async def peer(self, *, buffer=0):
        """A socket that watches, and reads when it is told to. `buffer`: of the two sides."""
        loop, before = asyncio.get_running_loop(), len(self.watchers)
        with socket.socket() as one:
            if buffer:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
            one.setblocking(False)
            await loop.sock_connect(one, ("127.0.0.1", self.port))
            await eventually(lambda: len(self.watchers) > before)
            if buffer:
                ours = self.watchers[-1].outlet.transport.get_extra_info("socket")
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            yield one


@asynccontextmanager
async def room(tls=None):
    hub, watchers = Hub(Connections(FeedOptions()), Metrics()), []

    class Arriving(asyncio.Protocol):
        def connection_made(self, transport):
            watchers.append(Watcher(hub))
            watchers[-1].begin(transport)

    server = await asyncio.get_running_loop().create_server(Arriving, "127.0.0.1", 0, ssl=tls)
    try:
        yield Room(server.sockets[0].getsockname()[1], hub, watchers)
    finally:
        server.close()
        for one in watchers:
            one.outlet.transport.abort()
        await asyncio.sleep(0)


async def read(peer, size, within_s=60):
    loop, got = asyncio.get_running_loop(), b""
    async with asyncio.timeout(within_s):
        while len(got) < size and (piece := await loop.sock_recv(peer, 1 << 16)):
            got += piece
    return got


async def test_everybody_gets_the_same_bytes_in_order():
    """Also who reads late; and what a connection writes beside frames stays in its place."""
    async with room() as here, here.peer() as quick, here.peer(buffer=4096) as slow:
        sent, got, had_to_wait = HELLO, b"", False
        for n in range(400):
            pieces = [b"%06d" % n * 50, b"of the same page"]
            here.publish(*pieces)
            sent += b"".join(pieces)
            if n % 7 == 0:
                for watcher in here.watchers:
                    watcher.outlet.write(b"own")
                sent += b"own"
            had_to_wait |= here.watchers[1].outlet.unsent_bytes > 0
            got += await read(quick, len(sent) - len(got))
        assert had_to_wait
        assert got == sent
        assert await read(slow, len(sent)) == sent
        here.publish(b"the way is free again")
        await eventually(lambda: here.watchers[1].outlet.unsent_bytes == 0)
        here.publish(b"now past the transport")
        assert here.watchers[1].outlet.descriptor >= 0
        for peer in (quick, slow):
            assert (await read(peer, 43)).endswith(b"now past the transport")
        assert [one.told for one in here.watchers] == [[], []]


async def test_a_broken_connection_costs_the_others_nothing():
    """Whichever of them notices first: the hub, or its transport."""
    async with room() as here, here.peer() as one, here.peer() as broken, here.peer() as other:
        here.publish(b"first")
        assert await read(broken, len(HELLO) + 5) == HELLO + b"first"
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.close()
        here.publish(b"second")
        here.publish(b"third")
        await eventually(lambda: here.watchers[1].told == ["lost"])
        here.publish(b"fourth")
        for peer in (one, other):
            expected = HELLO + b"firstsecondthirdfourth"
            assert await read(peer, len(expected)) == expected
        assert here.watchers[1].outlet.descriptor == -1


async def test_who_takes_nothing_is_told_once_beyond_its_outbox():
    """The others get everything; what it had been sent is whole and in order."""
    async with room() as here, here.peer() as quick, here.peer(buffer=4096) as stalled:
        sent, got = HELLO, b""
        while not here.watchers[1].told:
            here.publish(b"%06d" % len(sent) * 1000)
            sent += b"%06d" % len(sent) * 1000
            got += await read(quick, len(sent) - len(got))
            assert len(sent) < 2 * OUTBOX
        here.publish(b"for one")
        assert await read(quick, 7) == b"for one"
        assert here.watchers[1].told == ["overflowed"]
        assert here.watchers[1].outlet.unsent_bytes < OUTBOX + 6000 + 1
        had = await read(stalled, OUTBOX)
        assert sent.startswith(had)
        assert got == sent


async def test_nothing_follows_a_close():
    """The close frame is the last of a connection, and the others go on."""
    async with room() as here, here.peer() as closed, here.peer() as other:
        here.publish(b"first")
        here.watchers[0].outlet.close(1013, "slow")
        here.publish(b"second")
        expected = HELLO + b"first" + b"\x88\x06" + struct.pack(">H", 1013) + b"slow"
        assert await read(closed, len(expected)) == expected
        assert await read(other, len(HELLO) + 11) == HELLO + b"firstsecond"
        assert here.watchers[0].told == ["lost"]
        here.watchers[0].outlet.transport.abort()
        assert await read(closed, 1) == b""


async def test_frames_go_through_tls():
    """Never past it."""
    authority = trustme.CA()
    ours, theirs = (
        ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    authority.issue_cert("localhost").configure_cert(ours)
    authority.configure_trust(theirs)
    async with room(ours) as here:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", here.port, ssl=theirs, server_hostname="localhost"
        )
        await eventually(lambda: here.watchers)
        here.publish(b"first")
        here.publish(b"second")
        async with asyncio.timeout(60):
            assert await reader.readexactly(16) == HELLO + b"firstsecond"
        assert here.watchers[0].outlet.descriptor == -1
        writer.transport.abort()


@pytest.mark.parametrize("piece", ["native"], indirect=True)
async def test_the_c_piece_asks_nobody_where_nothing_waits(piece, monkeypatch):
    """Neither the connection nor its transport is called for a frame that the socket takes."""
    async with room() as here, here.peer() as one, here.peer() as other:

        def unexpected(*_):
            raise AssertionError("Python was asked")

        monkeypatch.setattr(SocketConnection, "relay", unexpected)
        here.publish(b"first")
        for peer in (one, other):
            assert await read(peer, len(HELLO) + 5) == HELLO + b"first"
        monkeypatch.undo()
