"""The plain feed as server-sent events: an answer that never ends.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from gateway.feed.liveness import drop_when_silent, unacknowledged_bytes
from gateway.feed.plain.messages import Style
from gateway.feed.websocket.drain import wait_for_room

_LOOK_S = 5.0  # aiohttp does not tell a handler that its client has gone
_GOODBYE_S = 2.0
_SILENT_PINGS = 2.5  # as many as a WebSocket that answers none is given, and the way there
_COMMENT = b": ping\n\n"
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that collects would hold back events
    "Connection": "close",
}


class SseSink:
    """The `Sink` of a streamed answer. Chunks are made here: writing must neither wait nor fail."""

    style: Style = "sse"

    def __init__(
        self, request: web.Request, headers: dict[str, str], *, ping_interval_s: float
    ) -> None:
        """Pings are its signs of life; who acknowledges none is gone."""
        self._request, self._ping_interval_s = request, ping_interval_s
        self._response = web.StreamResponse(headers={**_HEADERS, **headers})
        self._ended = asyncio.Event()

    async def open(self) -> None:
        self._response.force_close()
        if self._request.transport is not None:
            drop_when_silent(self._request.transport, _SILENT_PINGS * self._ping_interval_s)
        await self._response.prepare(self._request)
        # The head goes out with the first piece of a body, and nothing may have happened yet.
        await self._response.write(b": hello\n\n")

    @property
    def response(self) -> web.StreamResponse:
        return self._response

    @property
    def unsent_bytes(self) -> int:
        transport = self._request.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        transport = self._request.transport
        if not self._ended.is_set() and transport is not None and not transport.is_closing():
            is_chunked = self._response.chunked or self._request.version >= (1, 1)
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)

    def direct(self, full: Callable[[], None], lost: Callable[[], None]) -> None:
        """Return None: chunks are made here."""

    async def drained(self) -> None:
        await wait_for_room(self._request.transport)

    def probe(self) -> None:
        if self._response.prepared:
            self.write(_COMMENT)

    def unacknowledged_bytes(self) -> int | None:
        return unacknowledged_bytes(self._request.transport)

    def cut_off(self) -> None:
        self._ended.set()
        if self._request.transport is not None:
            self._request.transport.abort()

    def ping(self) -> None:
        """See whether it has ended: the kernel cuts off who acknowledges nothing."""
        transport = self._request.transport
        if transport is None or transport.is_closing():
            self._ended.set()

    def end(self, code: int, reason: str = "") -> None:  # noqa: ARG002  # has no close codes
        """End the answer; the client comes back by itself."""
        self._ended.set()

    async def over(self) -> None:
        """Return when it was ended, or the client has gone."""
        while not self._ended.is_set():
            transport = self._request.transport
            if transport is None or transport.is_closing():
                return
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._ended.wait()
            except TimeoutError:
                continue

    async def closed(self) -> None:
        """Write the end, which a client that does not read will not get."""
        self._ended.set()
        try:
            async with asyncio.timeout(_GOODBYE_S):
                await self._response.write_eof()
        except (TimeoutError, ConnectionError):
            if self._request.transport is not None:
                self._request.transport.abort()
