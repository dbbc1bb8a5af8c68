"""The plain feed on a WebSocket: one JSON object per text frame, both ways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import WSMsgType, web

from gateway.feed.credentials import PROTOCOL
from gateway.feed.plain_messages import Style
from gateway.feed.room import wait_for_room

# Close codes of RFC 6455 and its registry. Never 1000: it would mean that all is said.
UNSUPPORTED, POLICY, INTERNAL, RESTART, TRY_LATER = 1003, 1008, 1011, 1012, 1013

_GOODBYE_S = 2.0  # for the other side to answer a close
_WINDOW_S, _MESSAGES_PER_WINDOW = 10.0, 100


class SocketSink:
    """The `Sink` of a WebSocket; also reads, with a bound on how often the other side speaks."""

    style: Style = "socket"

    def __init__(self, request: web.Request, *, max_message_bytes: int, alive_s: float) -> None:
        """`alive_s`: a peer that answers no ping for half as long is gone."""
        self._request = request
        self._socket = web.WebSocketResponse(
            protocols=(PROTOCOL,), compress=False, max_msg_size=max_message_bytes,
            heartbeat=alive_s, autoping=False, timeout=_GOODBYE_S,
        )  # fmt: skip
        self._closing: asyncio.Task[None] | None = None
        self._window_ends_s = 0.0
        self._spoken = 0

    async def open(self) -> None:
        await self._socket.prepare(self._request)

    @property
    def response(self) -> web.WebSocketResponse:
        return self._socket

    @property
    def unsent_bytes(self) -> int:
        transport = self._request.transport
        return 0 if transport is None else transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        transport = self._request.transport
        if self._closing is None and transport is not None and not transport.is_closing():
            transport.write(data)

    async def drained(self) -> None:
        await wait_for_room(self._request)

    def end(self, code: int, reason: str = "") -> None:
        """Close with `code`; whoever reads gets no more messages."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(code, reason), name="feed-close")

    async def closed(self) -> None:
        """Wait until `end` has done its work; without it the other side has closed."""
        self.end(POLICY)
        assert self._closing is not None
        await self._closing

    async def _close(self, code: int, reason: str) -> None:
        # A peer that does not read takes no goodbye either: then without one.
        with suppress(TimeoutError, ConnectionError, RuntimeError):
            async with asyncio.timeout(2 * _GOODBYE_S):
                await self._socket.close(code=code, message=reason.encode())
                return
        if self._request.transport is not None:
            self._request.transport.abort()

    async def message(self) -> str | None:
        """Return the next message; None when there will be none any more."""
        while self._closing is None:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT and self._may_speak():
                text: str = message.data
                return text
            if message.type is WSMsgType.PING and self._may_speak():
                await self._socket.pong(message.data)
            elif message.type is WSMsgType.BINARY:
                self.end(UNSUPPORTED, "text frames only")
            elif message.type not in (WSMsgType.PING, WSMsgType.PONG, WSMsgType.TEXT):
                return None
        return None

    async def messages(self) -> AsyncIterator[str]:
        while (text := await self.message()) is not None:
            yield text

    def _may_speak(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now > self._window_ends_s:
            self._window_ends_s, self._spoken = now + _WINDOW_S, 0
        self._spoken += 1
        if self._spoken > _MESSAGES_PER_WINDOW:
            self.end(POLICY, "too many messages")
        return self._spoken <= _MESSAGES_PER_WINDOW
