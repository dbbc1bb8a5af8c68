"""One WebSocket of the feed, from the handshake to its end: its whole server side.

Not aiohttp's: an open socket costs no task and no timer, and whoever writes to a thousand of them
does so past all of this (`relay`). Everything is bounded: messages in bytes and pieces, how often
the other side speaks, what it has not taken yet.

It ends in one of three ways: the other side closes; we do, with a code (`close`), and it has
`_GOODBYE_S` to answer; or it is cut off.
"""

import asyncio
import logging
import socket
from typing import Protocol

from gateway import native
from gateway.feed.websocket.frame_reader import BadFrame, FrameReader, Received
from gateway.feed.websocket.frames import (
    CLOSE,
    INTERNAL,
    PING,
    POLICY,
    TEXT,
    answer_to,
    close_frame,
    ping_frame,
    pong_frame,
)

_logger = logging.getLogger(__name__)
_GOODBYE_S = 2.0
_WINDOW_S, _MESSAGES_PER_WINDOW = 10.0, 100
# What the kernel holds for one watcher beside the outbox; left to itself it would hold megabytes.
_KERNEL_BYTES = 64 << 10
_PING = ping_frame()


class Receiver(Protocol):
    """Whoever speaks on a connection. Nothing here may raise, but for a defect."""

    def received(self, text: bytes) -> None:
        """Take one message: valid UTF-8, within the bound."""

    def overflowed(self) -> None:
        """Know that more than the outbox is not taken yet."""

    def lost(self) -> None:
        """Know that the connection has ended, or is ending; nothing more comes. Called once."""


class Goodbyes:
    """How many connections have been said goodbye to and are not gone: each has a file still."""

    def __init__(self) -> None:
        self.count = 0


class SocketConnection(asyncio.Protocol):
    """Made of the transport of a request to upgrade; `begin` answers that and goes on."""

    __slots__ = (
        "_goodbyes",
        "_is_closing",
        "_is_full",
        "_is_heard",
        "_outbox_bytes",
        "_reader",
        "_receiver",
        "_socket",
        "_spoken",
        "_timer",
        "_window_ends_s",
        "descriptor",
        "transport",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        max_message_bytes: int,
        outbox_bytes: int,
        goodbyes: Goodbyes,
    ) -> None:
        self.transport, self._goodbyes = transport, goodbyes
        self._reader = FrameReader(max_message_bytes)
        self._outbox_bytes = outbox_bytes
        self._receiver: Receiver | None = None  # None once told that it is lost
        self._is_closing = self._is_full = False
        self._is_heard = True
        self._spoken, self._window_ends_s = 0, 0.0
        self._timer: asyncio.TimerHandle | None = None
        # Of the socket, where bytes may go to it past the transport: not over TLS, nor while the
        # transport has anything to send.
        self.descriptor = self._socket = -1

    def begin(self, receiver: Receiver, answer: bytes, early: bytes = b"") -> None:
        """Open the WebSocket. `answer`: the handshake's; `early`: what came behind the request."""
        transport, self._receiver = self.transport, receiver
        transport.set_protocol(self)
        own = transport.get_extra_info("socket")
        if own is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
            if transport.get_extra_info("sslcontext") is None:
                self._socket = own.fileno()
        transport.set_write_buffer_limits(high=self._outbox_bytes)
        self.relay(answer)
        transport.resume_reading()
        if early:
            self.data_received(early)

    # ---- out

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    @property
    def is_full(self) -> bool:
        """Whether more than the outbox waits, or has, and most of it still does."""
        return self._is_full

    @property
    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Send whole frames. Never raises, never waits."""
        if not self._is_closing:
            self.relay(frames)

    def relay(self, frames: bytes) -> None:
        """Send, whatever state this is in: an `Outlet` of the hub's, which is told of an end."""
        transport = self.transport
        try:
            transport.write(frames)
        except Exception:  # it must not cost others an event
            _logger.exception("frames were not written")
        self.descriptor = -1 if transport.get_write_buffer_size() else self._socket

    def close(self, code: int | None, reason: str = "") -> None:
        """Say goodbye, and cut off whoever does not answer it."""
        if self._is_closing:
            return
        self.relay(close_frame(code, reason))
        self._end_soon()

    def ping(self) -> bool:
        """Ask whether anybody is there; cut off who has not said a thing since the last time."""
        if not self._is_heard:
            self.transport.abort()
            return False
        self._is_heard = False
        self.write(_PING)
        return not self._is_closing

    def probe(self) -> None:
        """Write something that has to be acknowledged, whether or not anybody answers it."""
        self.write(_PING)

    def _end_soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_GOODBYE_S, self.transport.abort)
            self._goodbyes.count += 1
        self._end()

    def _end(self) -> None:
        self._is_closing = True
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.lost()

    # ---- in

    def data_received(self, data: bytes) -> None:
        self._is_heard = True
        try:
            for message in self._reader.feed(data):
                self._take(message)
        except BadFrame as error:
            if self._is_closing:
                self.transport.abort()
            self.close(error.code, error.reason)
        except Exception:
            _logger.exception("a message was not handled")
            self.close(INTERNAL)

    def _take(self, message: Received) -> None:
        if message.opcode == CLOSE:
            self._answer_close(message.payload)
        elif self._receiver is not None:
            self._count()
            if message.opcode == TEXT:
                self._receiver.received(message.payload)
            elif message.opcode == PING:
                self.write(pong_frame(message.payload))

    def _answer_close(self, payload: bytes) -> None:
        """Answer the other side's close in its own words, and end the connection."""
        if not self._is_closing:
            self.close(answer_to(payload))
        self.transport.close()

    def _count(self) -> None:
        """Raise `BadFrame` for a message too many: what came behind it is not even read."""
        now = asyncio.get_running_loop().time()
        if now > self._window_ends_s:
            self._window_ends_s, self._spoken = now + _WINDOW_S, 0
        self._spoken += 1
        if self._spoken > _MESSAGES_PER_WINDOW:
            raise BadFrame(POLICY, "too many messages")

    # ---- what the transport tells

    def pause_writing(self) -> None:
        """More than the outbox waits. Told later: a hub may be in the middle of a fan-out."""
        if not self._is_full:
            self._is_full = True
            asyncio.get_running_loop().call_soon(self._tell_full)

    def _tell_full(self) -> None:
        if self._is_full and self._receiver is not None:
            self._receiver.overflowed()

    def resume_writing(self) -> None:
        self._is_full = False

    def eof_received(self) -> bool:
        """Close; with a bound, for what is unsent then may never be taken."""
        self._end_soon()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.descriptor = self._socket = -1  # closed right after this
        if self._timer is not None:
            self._timer.cancel()
            self._goodbyes.count -= 1
        self._end()


if native.relay_by is not None:
    native.relay_by(SocketConnection)
