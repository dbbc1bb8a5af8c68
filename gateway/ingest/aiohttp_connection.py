"""aiohttp's connection handler with what it lacks: a header deadline, a bound on a whole head, and
our answers to requests that it cannot parse, a deadline for answers that are not taken.

This module, alone, leans on aiohttp's internals (hence its upper version bound): which of the
handler's states means idle, where its parsed messages wait, and how it answers parse errors.
"""

import asyncio
import logging
from time import perf_counter
from typing import Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from gateway.ingest.answers import (
    BAD_REQUEST,
    EXPECTATION_FAILED,
    HEADERS_TOO_LARGE,
    INTERNAL,
    REQUEST_TIMEOUT,
    TOO_MANY_CONNECTIONS,
    Answer,
)
from gateway.ingest.eviction import EvictionRank
from gateway.ingest.last_words import LastWords
from gateway.ingest.listener_state import LINGER_S, ConnectionPast, ListenerState
from gateway.ingest.requests import MAX_HEAD_BYTES
from gateway.ingest.unread import transport_has_unread

logger = logging.getLogger(__name__)

_TOO_MANY = "Too many headers"  # aiohttp has no class of its own for it


class AnswerResponse(web.Response):
    """An `Answer` as a response of aiohttp's, with the headers of the fast path and no others."""

    def __init__(self, answer: Answer, *, close: bool = False) -> None:
        super().__init__(
            status=answer.status,
            body=answer.body,
            headers=dict(answer.headers),
            content_type="application/json",
        )
        if close or answer.closes:
            self.force_close()

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class GivenAway(web.StreamResponse):
    """Stands in for an answer where the connection belongs to somebody else now."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing: another protocol speaks on this connection."""


def has_signed(request: web.BaseRequest) -> None:
    """Note on the connection of `request` that it is signed."""
    if isinstance(request.protocol, GuardedHandler):
        request.protocol.has_signed()


class GuardedHandler(RequestHandler):
    """Takes a connection over from the fast path, and keeps it."""

    __slots__ = (
        "_body",
        "_cut_off_at",
        "_head_bytes",
        "_head_since",
        "_past",
        "_read_at",
        "_shared",
        "_stuck_since",
        "_wire",
    )

    def __init__(self, server: web.Server, shared: ListenerState) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=shared.server.keepalive_timeout_s,
            access_log=cast("Any", None),
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._shared = shared
        self._wire: asyncio.Transport | None = None  # also when aiohttp has let go of it
        self._body: Any = None  # of the newest request, read or not
        self._head_bytes = 0  # of a request whose head is not whole yet
        self._head_since: float | None = None
        self._read_at = perf_counter()
        self._stuck_since: float | None = None  # answers that the peer does not take
        self._cut_off_at: float | None = None
        self._past = ConnectionPast(
            self._read_at, self._read_at, 0.0
        )  # `since`: of the newest request

    def take_over(self, transport: asyncio.Transport, first: bytes, past: ConnectionPast) -> None:
        """Go on with `first`, the first bytes of a request."""
        self._past, self._head_since, self._wire = past, past.since, transport
        transport.set_protocol(self)
        self.connection_made(transport)
        self._shared.joined(self)
        self.data_received(first)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._wire = None
        self._shared.left(self)

    def data_received(self, data: bytes) -> None:
        requests, in_body = self._request_count, self._in_body
        self._read_at = perf_counter()
        super().data_received(data)
        if self._is_upgraded:
            self._head_since = None
        elif self._request_count != requests:
            self._begin(in_body=in_body)
        elif data and not in_body:
            self._head_bytes += len(data)
            if self._head_since is None:
                self._head_since = self._read_at
                self._past = self._past._replace(since=self._read_at)
            if self._head_bytes > MAX_HEAD_BYTES and self._is_idle:
                self._end(HEADERS_TOO_LARGE)
        if self._in_body:
            self._shared.grew(len(data))

    def _begin(self, *, in_body: bool) -> None:
        """Note what the head of a request, or what cannot be parsed, has brought."""
        if in_body and self._in_body:
            # What came cannot be parsed; aiohttp leaves the body as it is, and its reader waiting.
            if self._request_in_progress:
                self._body.set_exception(RequestPayloadError("the body cannot be parsed"))
            self._body.feed_eof()
        self._body = self._messages[-1][1] if self._messages else None
        self._head_since, self._head_bytes = None, 0
        self._past = self._past._replace(since=self._read_at)

    @property
    def _in_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    @property
    def _is_upgraded(self) -> bool:
        return self._upgraded or self._payload_parser is not None

    @property
    def _is_closing(self) -> bool:
        """Whether it ends as soon as the peer has taken what is unsent, which may be never."""
        return self._wire is not None and self._wire.is_closing()

    @property
    def _is_idle(self) -> bool:
        """Whether no request is being handled or waits to be."""
        waiting = self._waiter is not None and not self._waiter.done()
        return waiting and not self._messages and not self._is_upgraded

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be parsed (`status` 400) or failed in our own code."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("there is nobody left to answer, or an answer is under way")
        # aiohttp stands in an HTTP/1.0 request for what it could not parse.
        request._version = HttpVersion11  # noqa: SLF001
        if isinstance(exc, LineTooLong) or _TOO_MANY in str(message):
            answer = HEADERS_TOO_LARGE
        elif status == BAD_REQUEST.status:
            answer = BAD_REQUEST
        elif isinstance(exc, UnicodeEncodeError) and "Expect" in request.headers:
            answer = EXPECTATION_FAILED  # aiohttp quotes it, whatever its bytes are
        else:
            logger.error("answering a request failed", exc_info=exc)
            answer = INTERNAL
        self._shared.webhooks.count(answer)
        return AnswerResponse(answer, close=True)

    def _end(self, answer: Answer) -> None:
        """Answer in place of a request that never became whole, and close."""
        if self.transport is not None:
            self._shared.webhooks.count(answer)
            self.transport.write(self._shared.wire.render(answer, close=True))
        self.force_close()

    def give_away(self) -> tuple[asyncio.Transport, bytes, web.StreamResponse]:
        """Leave the connection to whoever asks, out of a handler of its newest request.

        Returns the transport, what was received behind that request, and what the handler is to
        return: aiohttp then writes nothing, and ends.
        """
        transport, early = self.transport, bytes(self._message_tail)
        if transport is None or self._manager is None:
            raise ConnectionResetError("the other side is gone")
        self._manager.connection_lost(self, None)
        # Nothing in here may write, close or parse now.
        self.transport = self._parser = self._wire = None
        self._message_tail, self._upgraded = b"", False
        self._force_close = True
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._shared.left(self)
        return transport, early, GivenAway()

    def set_aside(self) -> None:
        """Take the connection out of the listener's count: its answer has no end."""
        self._shared.left(self)

    def has_signed(self) -> None:
        """Note that it has brought a signed request, now."""
        self._past = self._past._replace(signed_at=perf_counter())

    def has_file_to_keep(self) -> bool:
        """Tell whether the connection may stay for long, as open files go."""
        return self._shared.room.has_file_to_keep()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stuck_since = perf_counter()

    def resume_writing(self) -> None:
        self._stuck_since = None
        super().resume_writing()

    @property
    def standing(self) -> EvictionRank | None:
        since, signed_at = self._past.since, self._past.signed_at
        received: int | None = 0
        if self._stuck_since is not None:
            since = self._stuck_since
        elif self._is_closing:
            received = None
        elif self._in_body:
            received = self._body.total_bytes
        elif self._is_upgraded:
            return None
        elif not self._is_idle:
            # One that brings unsigned requests without a pause is never idle.
            return EvictionRank(
                self._past.opened_at, since, None, self._read_at, signed_at, busy=True
            )
        elif self._head_since is not None:
            received = self._head_bytes
        else:
            return EvictionRank(self._past.opened_at, self._read_at, None, self._read_at, signed_at)
        return EvictionRank(self._past.opened_at, since, received, self._read_at, signed_at)

    @property
    def unfinished_bytes(self) -> int:
        return int(self._body.total_bytes) if self._in_body else self._head_bytes

    def has_unread(self) -> bool:
        return self._wire is not None and transport_has_unread(self._wire)

    def cut_off(self) -> None:
        self._cut_off_at = perf_counter()
        self._shared.linger(self)
        if self._stuck_since is not None or self._is_closing or not self._shared.may_linger:
            self.abort()
        elif self._in_body:
            self._body.set_exception(TimeoutError())  # as at its deadline
        elif self._head_since is not None:
            self._end(REQUEST_TIMEOUT)
        elif self._is_idle and not self.has_unread():
            self.abort()
        else:
            self._turn_away()

    def _turn_away(self) -> None:
        """Say that there is no place any more, in place of whatever answer is due."""
        is_speaking = self._current_request is not None and self._current_request.writer.output_size
        if is_speaking:
            self.abort()
            return
        transport, _, _ = self.give_away()
        LastWords(transport, self._shared).say(TOO_MANY_CONNECTIONS)

    def sweep(self, now: float) -> None:
        server = self._shared.server
        is_cut_off = self._cut_off_at is not None and now - self._cut_off_at > 2 * LINGER_S
        if self._stuck_since is None and self._is_closing:
            self._stuck_since = now  # it is not gone: there is something that it does not take
        stuck_s = now - self._stuck_since if self._stuck_since is not None else 0.0
        head_s = now - self._head_since if self._head_since is not None else 0.0
        if is_cut_off or stuck_s > server.body_timeout_s:
            self.abort()
        elif head_s > server.header_timeout_s and self._is_idle:
            self._end(REQUEST_TIMEOUT)

    def drain(self) -> None:
        if self._is_idle and self._head_since is None:
            self.force_close()

    def abort(self) -> None:
        if self._wire is not None:
            self._wire.abort()
