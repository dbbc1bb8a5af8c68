"""Listening to a channel, on a connection of its own, which is over when the other side is silent.

Somebody who listens never writes, so a connection that has died without a word would look like
one on which nothing is said: after a while of that the other side is asked whether it is there.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.engine.access import EngineAccess
from gateway.engine.dialing import Address, connect
from gateway.engine.resp import RespConnection, pack

QUIET_S = 2.0
_MOST_UNTAKEN = 1000  # beyond which nothing more is read until they are taken


class ChannelListener:
    """What is said, in order."""

    def __init__(self, connection: RespConnection, timeout_s: float) -> None:
        self._connection, self._timeout_s = connection, timeout_s
        self._said: asyncio.Queue[Any] = asyncio.Queue()
        connection.hear = self._hear

    async def next(self) -> bytes | None:
        """Return the next message; None first, once all of them are heard.

        Raises `OSError` when the connection is over, within seconds also where nothing tells, and
        `ErrorReply` when we may not listen.
        """
        while True:
            said = await self._next()
            if isinstance(said, Exception):
                raise said
            if said[0] == b"message":
                message: bytes = said[2]
                return message
            if said[0] == b"subscribe":
                return None

    def close(self) -> None:
        """Let go of the connection at once; who waits for what is said is told so."""
        self._connection.end(ConnectionError("connection given up"))

    async def _next(self) -> Any:
        if not self._said.empty():
            return self._said.get_nowait()
        if self._connection.is_open:
            self._connection.transport.resume_reading()
        try:
            async with asyncio.timeout(QUIET_S):
                return await self._said.get()
        except TimeoutError:
            self._connection.send(pack("PING"))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._said.get()
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None

    def _hear(self, said: Any) -> None:
        self._said.put_nowait(said)
        if self._said.qsize() >= _MOST_UNTAKEN and self._connection.is_open:
            self._connection.transport.pause_reading()


@asynccontextmanager
async def listening(
    address: Address, channel: str, access: EngineAccess, timeout_s: float
) -> AsyncIterator[ChannelListener]:
    """Give a listener to `channel`. Raises like `connect`."""
    connection = await connect(address, access, timeout_s)
    listener = ChannelListener(connection, timeout_s)
    try:
        connection.send(pack("SUBSCRIBE", channel))
        yield listener
    finally:
        listener.close()
