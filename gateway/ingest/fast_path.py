"""The fast path: webhooks answered straight from the socket, everything else handed to aiohttp.

At each boundary between requests the next bytes decide: exactly `POST <path> HTTP/1.1` with a
plain head and a Content-Length stays here; any other request goes, with the connection, to
aiohttp, which keeps it. Answers leave in the order of the requests: `_due` has one slot per
unanswered request, None while its ack is pending, or a refusal that waits behind one.

A webhook costs no task, no future and no timer; deadlines are the listener's one sweep.
"""

import asyncio
import logging
from collections import deque
from enum import Enum
from time import perf_counter
from typing import cast

from gateway.ingest.answers import (
    HEADERS_TOO_LARGE,
    INTERNAL,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    TOO_MANY_CONNECTIONS,
    Answer,
)
from gateway.ingest.request_head import RequestHead, parse_head
from gateway.ingest.surroundings import LINGER_S, MAX_LINGERING, Surroundings

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 16 << 10
MAX_DUE = 64


class _State(Enum):
    OPEN = 0
    LAST = 1  # no further request is taken; closes once what is due has been answered
    LEAVING = 2  # goes to aiohttp once what is due has been answered
    LINGERING = 3  # answered for good; reads on and throws away
    GONE = 4


class WebhookConnection(asyncio.Protocol):
    """One connection, which is also the `Reply` of the webhooks that came over it."""

    __slots__ = (
        "_around",
        "_buffer",
        "_due",
        "_fresh",
        "_need",
        "_paused",
        "_since",
        "_state",
        "_transport",
        "_unread",
        "_writing_paused",
        "read_at",
    )
    _transport: asyncio.Transport

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._state = _State.OPEN
        self._buffer = bytearray()
        self._need = 0  # bytes that the buffer must have before it is worth another look
        self._due: deque[Answer | None] = deque()
        self._paused = self._writing_paused = False
        self._fresh = True  # has never sent anything
        self._unread = False  # the peer may still be sending what will never be read
        self.read_at = self._since = perf_counter()

    # The socket's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._around.full:
            self._around.metrics.connections_refused.add("too_many")
            self._state, self._unread = _State.LAST, True
            self._transport.write(self._around.wire.render(TOO_MANY_CONNECTIONS, close=True))
            self._finish()
        else:
            self._around.joined(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._state = _State.GONE
        self._around.left(self)

    def eof_received(self) -> bool:
        """Stay half open while answers are due; TLS cannot."""
        if self._state is _State.LINGERING or self._transport.get_extra_info("sslcontext"):
            return False
        if self._state is _State.OPEN and self._due:
            self._state = _State.LAST
        return bool(self._due)

    def pause_writing(self) -> None:
        self._writing_paused = True
        self._regulate()

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._state is not _State.OPEN:
            if self._state is _State.LEAVING:
                self._buffer += data
            return
        self.read_at = perf_counter()
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._need or self._paused:
                return
            data = bytes(self._buffer)
            self._buffer.clear()
        elif self._paused:
            self._buffer += data
            return
        else:
            self._since = self.read_at
        self._fresh = False
        self._take_guarded(data)

    # Requests

    def _take_guarded(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception:
            logger.exception("the fast path failed")
            self._refuse(INTERNAL, last=True, unread=True)
        self._regulate()

    def _take(self, data: bytes) -> None:
        """Take every whole request in `data`, and keep the rest."""
        start, size = 0, len(data)
        while start < size and self._state is _State.OPEN and len(self._due) < MAX_DUE:
            taken = self._take_one(data, start)
            if not taken:
                break
            start += taken
        if self._state is _State.OPEN and start < size:
            self._buffer += data[start:] if start else data

    def _take_one(self, data: bytes, start: int) -> int:
        """Take the request at `start`; return its length, or 0 if it is not whole or not ours."""
        line = self._around.request_line
        if not data.startswith(line, start):
            rest = data[start:]
            if not line.startswith(rest):
                self._leave(rest)
            return 0
        head_end = data.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)
        if head_end < 0:
            if len(data) - start >= MAX_HEAD_BYTES:
                self._refuse(HEADERS_TOO_LARGE, unread=True)
            return 0
        head = parse_head(data[start + len(line) : head_end])
        if head is None:
            self._leave(data[start:])
            return 0
        if head.content_length > self._around.reception.options.max_body_bytes:
            self._refuse(TOO_LARGE, unread=True)
            return 0
        body_start = head_end + 4
        body_end = body_start + head.content_length
        if body_end > len(data):
            if not self._need:
                self._since = self.read_at  # from here on it is the body's time
            self._need = body_end - start
            return 0
        self._need = 0
        self._since = self.read_at
        self._accept(head, data[body_start:body_end])
        return body_end - start

    def _accept(self, head: RequestHead, body: bytes) -> None:
        around = self._around
        verdict = around.reception.judge(
            body=body,
            api_key=head.api_key,
            signature=head.signature,
            webhook_id=head.webhook_id,
            content_encoding=head.content_encoding,
        )
        if isinstance(verdict, Answer):
            self._refuse(verdict, last=head.close)
            return
        self._due.append(None)
        if head.close:
            self._state = _State.LAST
        try:
            around.reception.submit(verdict, self)
        except Exception:
            self._due.pop()
            self._state = _State.OPEN
            raise

    # Answers

    def resolve(self, answer: Answer) -> None:
        """Answer the oldest request that is due, and the refusals that waited behind it.

        Never raises: the answers to other connections come after this one.
        """
        if self._state is _State.GONE:
            self._around.reception.count(answer)
            return
        try:
            self._due.popleft()
            self._write(answer)
            while self._due and (refusal := self._due[0]) is not None:
                self._due.popleft()
                self._write(refusal)
            if self._state is not _State.OPEN or self._paused:
                self._go_on()
        except Exception:
            logger.exception("answering a webhook failed")
            self.abort()

    def _refuse(self, answer: Answer, *, last: bool = False, unread: bool = False) -> None:
        """Answer now, or behind what is due. `unread`: the request has not been read to its end."""
        if self._state is not _State.OPEN:
            return
        self._unread = unread
        if last or answer.closes:
            self._state = _State.LAST
        if self._due:
            self._due.append(answer)
            return
        self._write(answer)
        if self._state is _State.LAST:
            self._finish()

    def _write(self, answer: Answer) -> None:
        around = self._around
        around.reception.count(answer)
        close = (self._state is _State.LAST or around.draining) and not self._due
        self._transport.write(around.wire.render(answer, close=close))
        if close and self._state is _State.OPEN:
            self._state = _State.LAST

    # Flow and end

    def _go_on(self) -> None:
        """Do what waited for answers to leave: end, move to aiohttp, or take more requests."""
        if self._state is _State.OPEN:
            if self._buffer and self._need <= len(self._buffer) and len(self._due) < MAX_DUE // 2:
                data = bytes(self._buffer)
                self._buffer.clear()
                self._take_guarded(data)
            else:
                self._regulate()
        elif not self._due:
            if self._state is _State.LAST:
                self._finish()
            elif self._state is _State.LEAVING and not self._writing_paused:
                self._move()

    def _regulate(self) -> None:
        """Read while answers can leave, not too many are due, and we are not leaving."""
        wanted = self._writing_paused or len(self._due) >= MAX_DUE or self._state is _State.LEAVING
        if wanted is self._paused or self._state in (_State.LINGERING, _State.GONE):
            return
        self._paused = wanted
        if wanted:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _leave(self, rest: bytes) -> None:
        self._state = _State.LEAVING
        self._buffer += rest
        self._go_on()

    def _move(self) -> None:
        self._state = _State.GONE
        if self._paused:
            self._transport.resume_reading()
        self._around.hand_over(self._transport, bytes(self._buffer), self._since)
        self._around.left(self)

    def _finish(self) -> None:
        """Close, reading on for a moment if the peer may still be sending."""
        around = self._around
        crowded = len(around.lingering) >= MAX_LINGERING
        if not self._unread or crowded or not self._transport.can_write_eof():
            self._close()
            return
        self._state = _State.LINGERING
        self._since = perf_counter()
        around.left(self)
        around.lingering.add(self)
        self._transport.write_eof()
        if self._paused:
            self._transport.resume_reading()

    # What the listener asks

    def sweep(self, now: float) -> None:
        server, waited_s = self._around.server, now - self._since
        if self._state is _State.LINGERING:
            if waited_s > LINGER_S:
                self.abort()
        elif self._state is _State.OPEN and not self._paused and not self._due:
            if self._buffer:
                late = server.body_timeout_s if self._need else server.header_timeout_s
                if waited_s > late:
                    self._refuse(REQUEST_TIMEOUT, unread=True)
            elif waited_s > (
                server.header_timeout_s if self._fresh else server.keepalive_timeout_s
            ):
                self._close()
        elif self._writing_paused and waited_s > server.body_timeout_s:
            self.abort()  # it does not read its answers

    def drain(self) -> None:
        if self._state is _State.OPEN and not self._due and not self._buffer:
            self._close()

    def abort(self) -> None:
        self._state = _State.GONE
        self._transport.abort()

    def _close(self) -> None:
        self._state = _State.GONE
        self._transport.close()
