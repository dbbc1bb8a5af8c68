"""One connection of the public port, as long as it brings nothing but plain webhooks.

This is the whole state machine (`State`): requests are taken straight from the socket, their
answers leave in the same order, and it ends in good order or is given away. At each boundary
between requests the next bytes decide (`requests.cut`): exactly `POST <path> HTTP/1.1` with a
plain head and a Content-Length stays here; any other request goes, with the connection, to
aiohttp, which keeps it.

`_due` has one slot for each unanswered request: None while its ack is pending, or a refusal that
waits behind one. What waits for answers to leave, closing or moving to aiohttp, happens when
`_due` is empty. Deadlines are the listener's one sweep; nothing here makes a task, a future or a
timer. With the C piece `native.Receiver` takes the plain case, and knows the slots by their names.
"""

import asyncio
import contextlib
import logging
import socket
from enum import Enum
from time import perf_counter
from typing import cast

from gateway import native
from gateway.clock import now_ms
from gateway.event import Event
from gateway.ingest.answers import (
    INTERNAL,
    REQUEST_TIMEOUT,
    STORED,
    TOO_MANY_CONNECTIONS,
    UNAUTHORIZED,
    Answer,
)
from gateway.ingest.buffers import HoldingConnection
from gateway.ingest.eviction import EvictionRank
from gateway.ingest.listener_state import (
    LINGER_S,
    STORED_LABEL,
    ConnectionPast,
    ListenerState,
    TakePlain,
)
from gateway.ingest.requests import MAX_HEAD_BYTES, Elsewhere, More, RequestHead, cut, parse_head
from gateway.ingest.unread import has_unread, transport_has_unread

logger = logging.getLogger(__name__)

MAX_DUE = 64  # pipelined requests without an answer; beyond it nothing more is read
_MAX_REFUSED = 32  # of one read: whoever sends more than that without a pause is not served on


class State(Enum):
    OPEN = 0
    LAST = 1  # no further request is taken; closes once what is due has been answered
    LEAVING = 2  # goes to aiohttp once what is due has been answered
    LINGERING = 3  # answered for good; reads on and throws away
    GONE = 4  # closed, or given away


_OPEN = State.OPEN


class WebhookConnection(HoldingConnection):
    """The `Reply` of the webhooks that came over it.

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

    # How it begins and ends

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

    # Requests

    def data_received(self, data: bytes) -> None:
        self._receive(data)

    def _failed(self, error: Exception) -> None:
        """Answer for an error of ours in the C piece: in taking a request, or in answering it."""
        logger.error("the fast path failed", exc_info=error)
        if self._due:
            self.abort()
        else:
            self._refuse(INTERNAL, last=True)

    def _receive(self, data: bytes) -> None:
        if self._state is not State.OPEN:
            if self._state is State.LEAVING:
                self._keep(data)
            return
        self.read_at = perf_counter()
        if self._buffer:
            self._keep(data)
            if self.unfinished_bytes < self._need or self._paused:
                return
            data = self._let_go()
        elif self._paused:
            self._keep(data)
            return
        else:
            self._since = self.read_at
        self._fresh = False
        self._take_guarded(data)

    def _take_guarded(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception:
            logger.exception("the fast path failed")
            self._refuse(INTERNAL, last=True, unread=True)
        self._regulate()

    def _take(self, data: bytes) -> None:
        """Take every whole request in `data`, and keep the rest."""
        start, size, take = 0, len(data), self._shared.take
        self._refused = 0
        while start < size and self._state is State.OPEN and len(self._due) < MAX_DUE:
            taken = (take and self._take_plain(take, data, start)) or self._take_one(data, start)
            if not taken:
                break
            start += taken
        if self._state is State.OPEN and start < size:
            self._keep(data[start:] if start else data)
        self._held = len(self._due) >= MAX_DUE

    def _take_plain(self, take: TakePlain, data: bytes, start: int) -> int:
        """Take the request at `start` if it is the plain case; return its length, or 0."""
        shared = self._shared
        line, max_body_bytes = shared.request_line, shared.max_body_bytes
        found = take(data, start, line, MAX_HEAD_BYTES, max_body_bytes, now_ms())
        if found is None:
            return 0
        self._need = 0
        self._since = self.read_at
        length, event = found
        if event is None:
            self._refuse_forged(data[start : start + length])
        else:
            self._signed_at = self.read_at
            self._submit(event)
        return length

    def _receive_forged(self, data: bytes) -> None:
        """Take what the C piece has found to be one whole request with nobody's signature.

        Called in place of `_receive` on a connection that has nothing else under way.
        """
        self.read_at = self._since = perf_counter()
        self._fresh = False
        try:
            self._refuse_forged(data)
        except Exception:
            logger.exception("the fast path failed")
            self._refuse(INTERNAL, last=True)
        self._regulate()

    def _refuse_forged(self, request: bytes) -> None:
        """Refuse as `_accept` would, without hashing the body a second time."""
        line = self._shared.request_line
        head = parse_head(request[len(line) : request.find(b"\r\n\r\n")])
        if head is None:  # the C piece takes no head that this does not
            self._refuse(UNAUTHORIZED, last=True)
            return
        refusal = self._shared.webhooks.refuse_forged(head.api_key, head.content_encoding)
        self._refuse_unsigned(refusal, last=head.close)

    def _refuse_unsigned(self, answer: Answer, *, last: bool) -> None:
        """Refuse; the last where a stranger brings so many that nobody else has a turn."""
        self._refused += 1
        is_flood = self._refused >= _MAX_REFUSED and not self._signed_at
        self._refuse(answer, last=last or is_flood, unread=is_flood)

    def _take_one(self, data: bytes, start: int) -> int:
        """Take the request at `start`; return its length, or 0 if it is not whole or not ours."""
        shared = self._shared
        found = cut(data, start, shared.request_line, shared.max_body_bytes)
        if isinstance(found, Answer):
            self._refuse(found, unread=True)
            return 0
        if isinstance(found, Elsewhere):
            self._leave(data[start:])
            return 0
        if isinstance(found, More):
            if found.need_bytes and not self._need:
                self._since = self.read_at  # from here on it is the body's time
            self._need = found.need_bytes
            return 0
        self._need = 0
        self._since = self.read_at
        self._accept(found.head, data[found.body_start : found.end])
        return found.end - start

    def _accept(self, head: RequestHead, body: bytes) -> None:
        shared = self._shared
        verdict = shared.webhooks.judge(
            body=body,
            api_key=head.api_key,
            signature=head.signature,
            webhook_id=head.webhook_id,
            content_encoding=head.content_encoding,
        )
        if isinstance(verdict, Answer):
            self._refuse_unsigned(verdict, last=head.close)
            return
        self._signed_at = self.read_at
        if head.close:
            self._state = State.LAST
        self._submit(verdict)

    def _submit(self, event: Event) -> None:
        self._due.append(None)
        try:
            self._shared.intake.submit(event, self)
        except Exception:
            self._due.pop()
            self._state = State.OPEN
            raise

    def _take_more(self) -> None:
        if self._writing_paused or (self._held and len(self._due) > MAX_DUE // 2):
            return
        self._held = False
        self._take_guarded(self._let_go())

    def _leave(self, rest: bytes) -> None:
        self._state = State.LEAVING
        self._keep(rest)
        self._go_on()

    # Answers

    def resolve(self, answer: Answer) -> None:
        """Answer the oldest request that is due, and the refusals that waited behind it.

        Never raises: the answers to other connections come after this one.
        """
        shared = self._shared
        if self._state is State.GONE:
            shared.webhooks.count(answer)
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
        shared.webhooks.count(answer)
        close = (self._state is State.LAST or shared.draining) and not self._due
        self._descriptor = -1
        self._transport.write(shared.wire.render(answer, close=close))
        if close and self._state is State.OPEN:
            self._state = State.LAST

    # Flow and end

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._regulate()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._go_on()

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


if native.receive_by is not None:
    native.receive_by(WebhookConnection, State.OPEN)
