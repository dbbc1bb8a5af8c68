"""One connection for one exchange at a time, made anew after a failure.

An exchange costs one write and one future, however many commands it has. Whatever goes wrong with
it, time-out and cancellation included, ends the connection: a reply that nobody waited for must
never answer the next command. Nothing is sent twice.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.engine.access import EngineAccess
from gateway.engine.dialing import address_of, connect
from gateway.engine.resp import RespConnection


class Link:
    """A connection that reconnects at the first exchange after a failure."""

    def __init__(self, url: str, *, timeout_s: float, access: EngineAccess) -> None:
        self._address, self._access, self._timeout_s = address_of(url), access, timeout_s
        self._connection: RespConnection | None = None
        self._closes = 0
        self._is_stale = False

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as can be seen."""
        return self._connection is not None and self._connection.is_open

    def renew(self) -> None:
        """Have the next exchange connect anew: the same address may lead to another server."""
        self._is_stale = True

    async def exchange(
        self, commands: Sequence[bytes], *, timeout_s: float | None = None
    ) -> list[Any]:
        """Send packed `commands` in one piece; return their replies.

        A reply that is an error stands as an `ErrorReply` in the list. Raises `OSError` when the
        connection fails or the answer takes longer than `timeout_s` (that of the link if None):
        what was sent may have run. Raises `ErrorReply` when there is no such database.
        """
        if self._is_stale:
            self.close()
        timer, wait_s = None, self._timeout_s if timeout_s is None else timeout_s
        try:
            if self._connection is None:
                self._connection = await self._connected()
            done = self._connection.ask(commands)
            timer = asyncio.get_running_loop().call_later(wait_s, _give_up, done, wait_s)
            return await done
        except BaseException:
            self.close()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    async def _connected(self) -> RespConnection:
        closes = self._closes
        connection = await connect(self._address, self._access, self._timeout_s)
        if closes != self._closes:
            connection.end(given_up := ConnectionError("connection given up"))
            raise given_up
        return connection

    def close(self) -> None:
        """Let go of the connection at once; an exchange that is under way fails."""
        self._closes += 1
        connection, self._connection, self._is_stale = self._connection, None, False
        if connection is not None:
            connection.end(ConnectionError("connection given up"))


def _give_up(done: asyncio.Future[list[Any]], after_s: float) -> None:
    if not done.done():
        done.set_exception(TimeoutError(f"no answer within {after_s:g} s"))
