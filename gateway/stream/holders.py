"""Who delivers: the processes that share this Redis, each there for as long as it says so."""

from gateway.stream import keys
from gateway.stream.connection import Engine


class Holders:
    """`name`: of this process, as in its leases."""

    def __init__(self, engine: Engine, name: str, ttl_s: float) -> None:
        self._engine, self._name, self._ttl_ms = engine, name, int(ttl_s * 1000)

    async def present(self) -> list[str]:
        """Say that we are there; return the names of all that are.

        Raises `StreamUnavailable` or `StreamRefused`.
        """
        found = await self._engine.run("present", (keys.HOLDERS,), (self._name, self._ttl_ms))
        return [name.decode() for name in found]

    async def leave(self) -> None:
        """Be there no more. Raises `StreamUnavailable` or `StreamRefused`."""
        await self._engine.run("present", (keys.HOLDERS,), (self._name, 0))
