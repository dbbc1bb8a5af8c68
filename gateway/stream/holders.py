"""Who delivers, and to whom: the processes that share this Redis, each for as long as it says so.

A process that has no subscribers of its own says so as well: it keeps the backlogs of those that
nobody serves within their bounds.
"""

from collections.abc import Iterable, Mapping

from gateway.stream import keys
from gateway.stream.connection import Engine

Present = Mapping[str, frozenset[str]]  # by the holder's name, whom it serves


class Holders:
    """`name`: of this process, as in its leases; `serves`: the names of its subscribers."""

    def __init__(self, engine: Engine, name: str, ttl_s: float, serves: Iterable[str]) -> None:
        self._engine, self._ttl_ms = engine, int(ttl_s * 1000)
        self._said = " ".join((name, *sorted(serves)))  # no name has a space in it

    async def present(self) -> Present:
        """Say that we are there; return all that are.

        Raises `StreamUnavailable` or `StreamRefused`.
        """
        return await _exchange(self._engine, self._said, self._ttl_ms)

    async def leave(self) -> None:
        """Be there no more. Raises `StreamUnavailable` or `StreamRefused`."""
        await _exchange(self._engine, self._said, 0)


async def present(engine: Engine) -> Present:
    """Return all that are there. Raises `StreamUnavailable` or `StreamRefused`."""
    return await _exchange(engine, "", 0)


async def _exchange(engine: Engine, said: str, ttl_ms: int) -> Present:
    found: dict[str, frozenset[str]] = {}
    for member in await engine.run("present", (keys.HOLDERS,), (said, ttl_ms)):
        holder, *names = member.decode().split(" ")
        # Twice there for seconds: one that has crashed and come back with others to serve.
        found[holder] = found.get(holder, frozenset()).union(names)
    return found
