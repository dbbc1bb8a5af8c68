"""redis-py's clients, one for commands and one for blocking reads of each server that is named."""

from collections.abc import Container

import redis.asyncio as aioredis

from gateway.stream.access import Access

_MOST_CONNECTIONS = 64


class Clients:
    """A blocking read outlives any reply time-out; its deadline is the caller's."""

    def __init__(self, access: Access, timeout_s: float) -> None:
        self._access, self._timeout_s = access, timeout_s
        self._commands: dict[str, aioredis.Redis] = {}
        self._blocking: dict[str, aioredis.Redis] = {}

    def of(self, server: str, *, blocking: bool = False) -> aioredis.Redis:
        """Return the client for `server`, made if there is none."""
        clients = self._blocking if blocking else self._commands
        client = clients.get(server)
        if client is None:
            client = clients[server] = self._access.client(
                server,
                socket_timeout=None if blocking else self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                max_connections=_MOST_CONNECTIONS,
            )
        return client

    async def keep(self, named: Container[str]) -> None:
        """Drop all but those of `named`: from others nothing would ever come."""
        for clients in (self._commands, self._blocking):
            for server in [each for each in clients if each not in named]:
                await clients.pop(server).aclose()

    async def close(self) -> None:
        await self.keep(())
