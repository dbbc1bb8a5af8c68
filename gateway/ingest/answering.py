"""A connection that answers in order, ends in good order, and can be given away.

Answers leave in the order of the requests: `_due` has one slot per unanswered request, None while
its ack is pending, or a refusal that waits behind one. What waits for answers to leave, closing
or moving to aiohttp, happens when `_due` is empty.

Deadlines are the listener's one sweep; nothing here makes a task, a future or a timer.
"""

import asyncio
import contextlib
import logging
import socket
from enum import Enum
from time import perf_counter
from typing import cast

from gateway.ingest.answers import REQUEST_TIMEOUT, STORED, TOO_MANY_CONNECTIONS, Answer
from gateway.ingest.buffers import HoldingConnection
from gateway.ingest.eviction import EvictionRank
from gateway.ingest.listener_state import LINGER_S, STORED_LABEL, ConnectionPast, ListenerState
from gateway.ingest.unread import has_unread, transport_has_unread

logger = logging.getLogger(__name__)


class State(Enum):
    OPEN = 0
    LAST = 1  # no further request is taken; closes once what is due has been answered
    LEAVING = 2  # goes to aiohttp once what is due has been answered
    LINGERING = 3  # answered for good; reads on and throws away
    GONE = 4  # closed, or given away


_OPEN = State.OPEN


class AnsweringConnection(HoldingConnection):
    """The `Reply` of the webhooks that came over it. Taking requests is a subclass's business.

    It has its place from the moment it was accepted, before its transport is there (`arrive`).
    """

    __slots__ = (
        "_arriving",
        "_descriptor",
        "_due",
        "_fresh",
        "_held",
        "_joined",
        "_need",
        "_opened_at",
        "_paused",
        "_receiver",
        "_refused",
        "_signed_at",
        "_since",
        "_state",
        "_transport",
        "_unread",
        "_writing_paused",
        "read_at",
    )
    _transport: asyncio.Transport

    def __init__(self, shared: ListenerState) -> None:
        super().__init__(shared)
        self._receiver = shared.receiver
        self._state = State.OPEN
        self._need = 0  # bytes that the buffer must have before it is worth another look
        self._due: list[Answer | None] = []  # a few at most; a deque would be ten times the size
        self._refused = 0  # requests of the newest read
        self._held = False  # as many are due as may be; the buffer may have whole requests
        self._paused = self._writing_paused = False
        self._fresh = True  # has never sent anything
        self._unread = False  # the peer may still be sending what will never be read
        self._joined = -1  # its descriptor, while `native.Sockets` reads it, not the transport
        # `_since`: the start of what has a deadline now; all by time.perf_counter().
        self.read_at = self._since = self._opened_at = perf_counter()
        self._signed_at = 0.0  # when it last brought a signed request
        self._arriving: socket.socket | None = None
        # Of the socket, where plain answers may go past the transport: not over TLS, nor once the
        # transport has had anything to write, which may still be waiting.
        self._descriptor = -1

    def arrive(self, accepted: socket.socket) -> bool:
        """Take a place for what was accepted; tell whether there is one, if only to be refused."""
        shared = self._shared
        if shared.room.admits(accepted.fileno()):
            shared.joined(self)
        elif shared.may_linger:
            shared.linger(self)
            self._state = State.LAST
        else:
            return False
        self._arriving = accepted
        return True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._arriving = cast("asyncio.Transport", transport), None
        if self._state is State.GONE:  # it had to make room before it was there
            self._transport.abort()
            return
        if self._receiver is not None and transport.get_extra_info("sslcontext") is None:
            self._descriptor = transport.get_extra_info("socket").fileno()
        if self._state is State.LAST:  # there was no place for it, or is none any more
            self._turn_away()

    def _turn_away(self) -> None:
        """Say that there is no place; it counts as no answer, for no request was read."""
        self._state, self._unread = State.LAST, True
        self._descriptor = -1
        self._transport.write(self._shared.wire.render(TOO_MANY_CONNECTIONS, close=True))
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._state = State.GONE
        self._drop()
        if self._joined >= 0 and self._receiver is not None:
            self._receiver.sockets.leave(self)
        self._shared.left(self)

    def _read_by_sockets(self) -> None:
        self._transport.pause_reading()

    def _read_by_transport(self) -> None:
        if not self._paused:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        """Stay half open while answers are due; TLS cannot."""
        if self._state is State.LINGERING or self._transport.get_extra_info("sslcontext"):
            return False
        if self._state is State.OPEN and self._due:
            self._state = State.LAST
        return bool(self._due)

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._regulate()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._go_on()

    # Answers

    def resolve(self, answer: Answer) -> None:
        """Answer the oldest request that is due, and the refusals that waited behind it.

        Never raises: the answers to other connections come after this one.
        """
        shared = self._shared
        if self._state is State.GONE:
            shared.reception.count(answer)
            return
        try:
            self._due.pop(0)
            waits = self._due or self._paused or shared.draining or self._state is not _OPEN
            if answer is STORED and not waits:  # nearly always
                shared.counted[STORED_LABEL] += 1
                self._descriptor = -1
                self._transport.write(shared.wire.stored)
                return
            self._write(answer)
            while self._due and (refusal := self._due[0]) is not None:
                self._due.pop(0)
                self._write(refusal)
            if self._state is not State.OPEN or self._paused:
                self._go_on()
        except Exception:
            logger.exception("answering a webhook failed")
            self.abort()

    def _refuse(self, answer: Answer, *, last: bool = False, unread: bool = False) -> None:
        """Answer now, or behind what is due. `unread`: the request has not been read to its end."""
        if self._state is not State.OPEN:
            return
        self._unread = unread
        if last or answer.closes:
            self._state = State.LAST
        if self._due:
            self._due.append(answer)
            return
        self._write(answer)
        if self._state is State.LAST:
            self._finish()

    def _write(self, answer: Answer) -> None:
        shared = self._shared
        shared.reception.count(answer)
        close = (self._state is State.LAST or shared.draining) and not self._due
        self._descriptor = -1
        self._transport.write(shared.wire.render(answer, close=close))
        if close and self._state is State.OPEN:
            self._state = State.LAST

    # Flow and end

    def _take_more(self) -> None:
        """Take requests from the buffer again, if there is room for their answers."""
        raise NotImplementedError

    def _go_on(self) -> None:
        """Do what waited for answers to leave: take more requests, end, or move to aiohttp."""
        if self._state is State.OPEN:
            self._take_more()
        elif not self._due:
            if self._state is State.LAST:
                self._finish()
            elif self._state is State.LEAVING and not self._writing_paused:
                self._move()

    def _regulate(self) -> None:
        """Read while answers can leave, not too many are due, and we are not leaving."""
        wanted = self._writing_paused or self._held or self._state is State.LEAVING
        if wanted is self._paused or self._state in (State.LINGERING, State.GONE):
            return
        self._paused = wanted
        if wanted:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _move(self) -> None:
        self._state = State.GONE
        if self._paused:
            self._transport.resume_reading()
        past = ConnectionPast(self._opened_at, self._since, self._signed_at)
        self._shared.hand_over(self._transport, self._let_go(), past)
        self._shared.left(self)

    def _finish(self) -> None:
        """Close, reading on for a moment if the peer may still be sending."""
        shared = self._shared
        self._drop()
        if not self._unread or not shared.may_linger:
            self._close()
            return
        self._state = State.LINGERING
        self._since = perf_counter()
        shared.linger(self)
        if self._transport.can_write_eof():  # TLS cannot
            self._transport.write_eof()
        if self._paused:
            self._transport.resume_reading()

    def _close(self) -> None:
        self._state = State.GONE
        self._since = perf_counter()
        self._drop()
        self._transport.close()

    # What the listener asks

    @property
    def standing(self) -> EvictionRank | None:
        received: int | None = None
        if self._writing_paused:
            received = 0  # it does not take its answers
        elif self._is_closing:
            pass
        elif self._due or self._state is not State.OPEN:
            return None
        elif self._buffer:
            received = self.unfinished_bytes
        return EvictionRank(
            self._opened_at, self._since, received, self.read_at, self._signed_at, self._fresh
        )

    @property
    def _is_closing(self) -> bool:
        """Whether it ends as soon as the peer has taken what is unsent, which may be never."""
        return self._state is State.GONE and self._arriving is None

    def has_unread(self) -> bool:
        if self._arriving is not None:
            return has_unread(self._arriving.fileno())
        return transport_has_unread(self._transport)

    def cut_off(self) -> None:
        self._shared.linger(self)
        if self._arriving is not None:
            self._state = State.LAST
            if self._shared.server.tls is not None:  # it has not even been greeted yet
                self.abort()
        elif self._writing_paused or self._is_closing:
            self.abort()
        elif self._buffer:
            self._refuse(REQUEST_TIMEOUT, unread=True)
        elif self._fresh or self.has_unread():
            self._turn_away()
        else:
            self.abort()

    def sweep(self, now: float) -> None:
        server, waited_s = self._shared.server, now - self._since
        if self._arriving is not None:
            has_place = self._state is State.OPEN
            if waited_s > LINGER_S + (server.header_timeout_s if has_place else 0):
                self.abort()  # TLS has its own deadline
            return
        match self._state:
            case State.OPEN if not self._paused and not self._due:
                self._sweep_waiting(waited_s)
            case State.LINGERING if waited_s > LINGER_S:
                self.abort()
            case _ if self._state is State.GONE or self._writing_paused:
                if waited_s > server.body_timeout_s:  # it does not read its answers
                    self.abort()

    def _sweep_waiting(self, waited_s: float) -> None:
        """Enforce the deadline of a connection that we wait for."""
        server = self._shared.server
        if self._buffer:
            late = server.body_timeout_s if self._need else server.header_timeout_s
            if waited_s > late:
                self._refuse(REQUEST_TIMEOUT, unread=True)
        elif waited_s > (server.header_timeout_s if self._fresh else server.keepalive_timeout_s):
            self._close()

    def drain(self) -> None:
        if self._arriving is not None:
            self.abort()
        elif self._state is State.OPEN and not self._due and not self._buffer:
            self._close()

    def abort(self) -> None:
        self._state = State.GONE
        self._drop()
        if self._arriving is None:
            self._transport.abort()
            return
        with contextlib.suppress(OSError):  # it has gone by itself
            self._arriving.shutdown(socket.SHUT_RDWR)
