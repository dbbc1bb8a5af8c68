"""Who delivers, and to whom: the processes that share this Redis, each for as long as it says so.

A process that has no subscribers of its own says so as well: it keeps the backlogs of those that
nobody serves within their bounds.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import uuid4

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import script

_MOST_OURS = 8  # leases end within seconds: so many starts there are not in that time


class Holder:
    """Who we are where leases are concerned. The name of the process' journal: it outlives the
    process, so a successor has its leases back at once; and the token of the name's owner, so that
    of two that bear the name only the later one has them. Changes when the journal takes another
    name. A process without a journal has a name of its own making.
    """

    def __init__(self, name: str = "") -> None:
        self.presence = name or uuid4().hex  # among those that are there
        self.name = self.presence  # in leases
        self.ours: Sequence[str] = ()  # names whose leases are ours as well

    def become(self, name: str, tokens: Sequence[str]) -> None:
        """Be the owner of the journal `name` by the last of `tokens`, all of which were ours."""
        before = [*self.ours, self.name, name, *(f"{name}.{one}" for one in tokens)]
        self.presence, self.name = name, f"{name}.{tokens[-1]}"
        self.ours = [one for one in dict.fromkeys(before) if one != self.name][-_MOST_OURS:]


Present = Mapping[str, frozenset[str]]  # by the holder's name, whom it serves


class Holders:
    """`holder`: this process; `serves`: the names of its subscribers."""

    def __init__(self, engine: Engine, holder: Holder, ttl_s: float, serves: Iterable[str]) -> None:
        self._engine, self._ttl_ms = engine, int(ttl_s * 1000)
        self._holder, self._serves = holder, sorted(serves)

    @property
    def _said(self) -> str:
        return " ".join((self._holder.presence, *self._serves))  # no name has a space in it

    async def present(self) -> Present:
        """Say that we are there; return all that are.

        Raises `EngineUnavailable` or `EngineRefused`.
        """
        return await _exchange(self._engine, self._said, self._ttl_ms)

    async def leave(self) -> None:
        """Be there no more. Raises `EngineUnavailable` or `EngineRefused`."""
        await _exchange(self._engine, self._said, 0)


async def present(engine: Engine) -> Present:
    """Return all that are there. Raises `EngineUnavailable` or `EngineRefused`."""
    return await _exchange(engine, "", 0)


async def _exchange(engine: Engine, said: str, ttl_ms: int) -> Present:
    found: dict[str, frozenset[str]] = {}
    for member in await engine.run(script("present"), (keys.HOLDERS,), (said, ttl_ms)):
        holder, *names = member.decode().split(" ")
        # Twice there for seconds: one that has crashed and come back with others to serve.
        found[holder] = found.get(holder, frozenset()).union(names)
    return found
