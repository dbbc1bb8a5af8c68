"""Replay: from a cursor to where the tail stood when its watcher joined the hub.

What is live from then on waits meanwhile in the watcher, so nothing falls between the two and
nothing comes twice. Whether history still reaches back is decided before anything is sent:
another epoch, a missing number behind the cursor, or more events than one resume may cost, and
the calls of that shard are lost, which is said. History that is cut off while it is read is a
gap, which is said as well.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from gateway.engine.engine import Engine
from gateway.feed.plain.cursors import Cursor, CursorPlace, mark_of
from gateway.store.watching.history import PastEntry, Reader, reach


@dataclass(slots=True)
class Plan:
    """What will be replayed. `reached`: shards that history covers, and from where to where."""

    reached: dict[int, tuple[CursorPlace, CursorPlace]] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)

    @property
    def events(self) -> int:
        """How many entries have to be read, those of other calls included."""
        return sum(upto.number - after.number for after, upto in self.reached.values())


class ReplayBroken(Exception):
    """History was cut off while it was read."""


async def plan(
    engine: Engine, since: Cursor | None, upto: Mapping[int, CursorPlace], max_events: int
) -> Plan:
    """Decide what can be replayed for a watcher of the shards in `upto`, where the tail stands.

    Raises `EngineUnavailable` or `EngineRefused`.
    """
    comparable = {
        shard: (since[shard], end)
        for shard, end in upto.items()
        if since is not None and shard in since and _is_behind(since[shard], end)
    }
    found = await reach(engine, {shard: after[1:] for shard, (after, _) in comparable.items()})
    result = Plan()
    for shard, (after, end) in comparable.items():
        if found[shard].unbroken and mark_of(found[shard].epoch) == after.mark:
            result.reached[shard] = after, end
    # A shard of which a cursor says nothing had no call that was watched: nothing of it is missed.
    watched = upto.keys() if since is None else upto.keys() & since.keys()
    result.lost = watched - result.reached.keys()
    if result.events > max_events:
        return Plan(lost=set(watched))
    return result


async def still_there(engine: Engine, places: Cursor) -> Cursor:
    """Return those of `places` that their shards have had and not lost again.

    A stream that has gone back may never come to a place that it once gave out, and must not be
    waited for. Raises `EngineUnavailable` or `EngineRefused`.
    """
    found = await reach(engine, {shard: place[1:] for shard, place in places.items()})
    return {
        shard: place
        for shard, place in places.items()
        if found[shard].unbroken and mark_of(found[shard].epoch) == place.mark
    }


def _is_behind(after: CursorPlace, upto: CursorPlace) -> bool:
    return after.mark == upto.mark and after.number <= upto.number and after.id <= upto.id


async def pages(
    engine: Engine, shard: int, after: CursorPlace, upto: CursorPlace
) -> AsyncIterator[list[PastEntry]]:
    """Yield all entries of `shard` behind `after` up to `upto`, in bounded pieces.

    Raises `ReplayBroken` when one is missing, `EngineUnavailable` or `EngineRefused`.
    """
    number = after.number
    reader = Reader(engine, shard, after.id, upto.id)
    while page := await reader.page():
        for past in page:
            number += 1
            if past.number != number:
                raise ReplayBroken
        yield page
    if number != upto.number:
        raise ReplayBroken
