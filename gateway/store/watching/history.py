"""History: entries that were published before, read again by place, without a group.

A page is bounded in entries and, by what the page before it weighed, in bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from gateway.engine.engine import Engine
from gateway.event import Meta, read_meta
from gateway.options import MIB
from gateway.store import keys
from gateway.store.entries import Id, parse_id
from gateway.store.scripts import ScriptCall, call_together

_PAGE_BYTES = 1 * MIB
_FIRST_COUNT, _MOST_COUNT = 32, 512


class PastEntry(NamedTuple):
    """One entry of a shard, as it was published."""

    shard: int
    id: Id
    number: int
    meta: Meta
    body: bytes


class Reach(NamedTuple):
    """`epoch` of the shard now; `unbroken`: nothing is missing behind the place asked for."""

    epoch: str
    unbroken: bool


@dataclass(slots=True)
class Reader:
    """Reads one shard from behind `after` up to and including `upto`, page by page."""

    engine: Engine
    shard: int
    after: Id
    upto: Id
    _count: int = _FIRST_COUNT

    async def page(self) -> list[PastEntry]:
        """Return the next entries, none at the end. Raises `EngineUnavailable`."""
        if self.after >= self.upto:
            return []
        reply = await self.engine.command(
            "XRANGE",
            keys.events(self.shard),
            f"({_text(self.after)}",
            _text(self.upto),
            "COUNT",
            self._count,
        )
        page = [_past(self.shard, entry) for entry in reply]
        if page:
            self.after = page[-1].id
            mean = sum(len(one.body) for one in page) // len(page) + 1
            self._count = max(1, min(_MOST_COUNT, _PAGE_BYTES // mean))
        return page


async def reach(engine: Engine, places: Mapping[int, tuple[int, Id]]) -> dict[int, Reach]:
    """Tell for places (shard -> number and id) whether history still begins right behind them.

    Raises `EngineUnavailable` or `EngineRefused`.
    """
    calls = [_reach(shard, number, entry) for shard, (number, entry) in places.items()]
    results: Sequence[Any] = await call_together(engine, calls)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return dict(zip(places, results, strict=True))


def _reach(shard: int, number: int, entry: Id) -> ScriptCall[Reach]:
    return ScriptCall(
        "reach",
        (keys.events(shard), keys.shard_state(shard)),
        (f"({_text(entry)}", number),
        lambda reply: Reach(reply[0].decode(), bool(reply[1])),
    )


def _text(entry: Id) -> str:
    return f"{entry[0]}-{entry[1]}"


def _past(shard: int, entry: Any) -> PastEntry:
    entry_id, flat = entry
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return PastEntry(
        shard, parse_id(entry_id), int(fields[b"n"]), read_meta(fields[b"m"]), fields[b"b"]
    )
