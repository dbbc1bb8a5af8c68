"""The plain feed on a WebSocket: one JSON object per text frame, both ways.

Reading is a task's business here, since a message may have to wait for Redis; what waits for it
is bounded, and beyond that nothing more is read.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from gateway.feed.hub import Outlet
from gateway.feed.liveness import unacknowledged_bytes
from gateway.feed.plain.messages import Style
from gateway.feed.websocket.connection import SocketConnection
from gateway.feed.websocket.drain import wait_for_room

_MOST_WAITING = 8


class SocketSink:
    """The `Sink` of a WebSocket, and its `Receiver`."""

    style: Style = "socket"

    def __init__(self, connection: SocketConnection) -> None:
        self._connection = connection
        self._waiting: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_lost = False
        self._on_full: Callable[[], None] | None = None
        self._on_lost: Callable[[], None] | None = None

    # ---- out

    @property
    def unsent_bytes(self) -> int:
        return self._connection.unsent_bytes

    def write(self, data: bytes) -> None:
        self._connection.write(data)

    def direct(self, full: Callable[[], None], lost: Callable[[], None]) -> Outlet | None:
        if self._connection.is_full or self._connection.is_closing:
            return None
        self._on_full, self._on_lost = full, lost
        return self._connection

    async def drained(self) -> None:
        await wait_for_room(self._connection.transport)

    def probe(self) -> None:
        self._connection.probe()

    def unacknowledged_bytes(self) -> int | None:
        return unacknowledged_bytes(self._connection.transport)

    def cut_off(self) -> None:
        self._connection.transport.abort()

    def ping(self) -> None:
        self._connection.ping()

    def end(self, code: int, reason: str = "") -> None:
        """Close with `code`; whoever reads gets no more messages."""
        self._connection.close(code, reason)

    # ---- in

    def received(self, text: bytes) -> None:
        self._waiting.append(text)
        self._news.set()
        if len(self._waiting) >= _MOST_WAITING:
            self._connection.transport.pause_reading()

    def overflowed(self) -> None:
        """Tell whoever writes directly; else the watcher counts, and replays wait for room."""
        if self._on_full is not None:
            self._on_full()

    def lost(self) -> None:
        if self._on_lost is not None:
            self._on_lost()
        self._on_full = self._on_lost = None
        self._is_lost = True
        self._waiting.clear()
        self._news.set()

    async def message(self) -> str | None:
        """Return the next message; None when there will be none any more."""
        while not self._waiting:
            if self._is_lost:
                return None
            self._news.clear()
            await self._news.wait()
        text = self._waiting.popleft()
        self._connection.transport.resume_reading()
        return text.decode()

    async def messages(self) -> AsyncIterator[str]:
        while (text := await self.message()) is not None:
            yield text
