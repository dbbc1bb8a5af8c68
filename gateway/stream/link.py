"""One connection for one exchange at a time: packed commands out, their replies back, in order.

redis-py brings it up (address, TLS, authentication); then its transport is ours, with hiredis
reading the replies: one write and one future for each exchange, however many commands. Whatever
goes wrong on it, time-out and cancellation included, ends the connection: a reply that nobody
waited for must never answer the next command.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
from redis import exceptions

from gateway.errors import StreamUnavailable
from gateway.stream.access import Access
from gateway.stream.replies import Arg, explain


def pack(*args: Arg) -> bytes:
    """Return one command as the protocol has it."""
    packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]  # its stub wants a 1-tuple
    return packed


def arguments(*args: Arg) -> bytes:
    """Return `args` packed, without the line before them that says how many there are."""
    packed = pack(*args)
    return packed[packed.index(b"\n") + 1 :]


class _Replies(asyncio.Protocol):
    """Collects replies until as many are there as somebody waits for."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(replyError=exceptions.ResponseError)
        self._replies: list[Any] = []
        self._wanted = 0
        self._done: asyncio.Future[list[Any]] | None = None

    def expect(self, count: int) -> asyncio.Future[list[Any]]:
        self._replies, self._wanted = [], count
        self._done = asyncio.get_running_loop().create_future()
        return self._done

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._replies.append(reply)
        except hiredis.HiredisError as error:
            self._end(exceptions.ConnectionError(str(error)))
            return
        done = self._done
        if len(self._replies) >= self._wanted and done is not None and not done.done():
            done.set_result(self._replies)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc or exceptions.ConnectionError("connection closed by Redis"))

    def _end(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
            self._done.exception()  # read once here: the exchange may have been given up


class Link:
    """A connection that reconnects at the first exchange after a failure."""

    def __init__(self, url: str, *, timeout_s: float, access: Access) -> None:
        self._timeout_s = timeout_s
        self._pool = access.pool(url, socket_timeout=None, socket_connect_timeout=timeout_s)
        self._connection: Any = None
        self._transport: Any = None
        self._replies = _Replies()
        self._is_stale = False

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as can be seen."""
        return self._transport is not None and not self._transport.is_closing()

    def renew(self) -> None:
        """Have the next exchange connect anew: the same address may lead to another server."""
        self._is_stale = True

    async def exchange(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed `commands` in one piece; return their replies.

        A reply that is an error stands as an exception in the list. Raises `StreamUnavailable`
        when the connection fails or the answer takes too long; what was sent may have run.
        """
        timer = None
        try:
            if self._is_stale:
                await self.close()
            if self._transport is None:
                await self._connect()
            if not self.is_open:  # it ended while nobody was waiting
                raise exceptions.ConnectionError("connection closed by Redis")  # noqa: TRY301
            done = self._replies.expect(len(commands))
            timer = asyncio.get_running_loop().call_later(self._timeout_s, _give_up, done)
            self._transport.write(b"".join(commands))
            return await done
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise StreamUnavailable(str(explain(error))) from error
        except BaseException:
            await self.close()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    async def _connect(self) -> None:
        self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        async with asyncio.timeout(self._timeout_s):
            await self._connection.connect()
        self._replies = _Replies()
        self._transport = self._connection._writer.transport  # noqa: SLF001  # see pyproject: <9
        self._transport.set_protocol(self._replies)

    async def close(self) -> None:
        connection, self._connection, self._transport = self._connection, None, None
        self._is_stale = False
        if connection is not None:
            await connection.disconnect(nowait=True)


def _give_up(done: asyncio.Future[list[Any]]) -> None:
    if not done.done():
        done.set_exception(TimeoutError("no answer in time"))
