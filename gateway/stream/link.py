"""One connection of the publisher's own: packed commands out, their replies back, in order.

redis-py brings it up (address, TLS, authentication); after that each exchange is one write and
as many reads as there were commands. Whatever goes wrong on it, time-out and cancellation
included, ends the connection: a reply that nobody waited for must never answer the next command.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis
import redis.asyncio as aioredis
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.errors import StreamUnavailable
from gateway.stream.connection import Arg, explain


def pack(*args: Arg) -> bytes:
    """Return one command as the protocol has it."""
    packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]  # its stub wants a 1-tuple
    return packed


class Link:
    """A connection that reconnects at the first exchange after a failure."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pool = aioredis.ConnectionPool.from_url(
            url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._connection: Any = None

    async def exchange(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed `commands` in one piece; return their replies.

        A reply that is an error stands as an exception in the list. Raises `StreamUnavailable`
        when the connection fails or the answer takes too long; what was sent may have run.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._connection is None:
                    self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
                    await self._connection.connect()
                return await self._talk(commands)
        except (exceptions.RedisError, OSError, TimeoutError) as error:
            await self.close()
            raise StreamUnavailable(str(explain(error))) from error
        except BaseException:
            await self.close()
            raise

    async def _talk(self, commands: Sequence[bytes]) -> list[Any]:
        await self._connection.send_packed_command([b"".join(commands)], check_health=False)
        read = self._connection.read_response
        replies: list[Any] = []
        for _ in commands:
            try:
                replies.append(await read(disable_decoding=True))
            except exceptions.ResponseError as error:
                replies.append(error)
        return replies

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
