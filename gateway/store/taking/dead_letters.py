"""Dead letters: events that no further attempt will be made for, kept for a person to judge.

They are listed oldest first over all shards. A letter can be revived (due at once, marked late)
or purged; both move the ledger's counters, so the ledger still adds up. The gateway has dead
letters of its own (`keys.GATEWAY`): signed bodies that are no event. Those can only be purged,
since there is no subscriber that they belong to.
"""

from collections.abc import Callable, Sequence
from heapq import merge
from itertools import groupby
from typing import NamedTuple

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.errors import EngineRefused
from gateway.store import keys
from gateway.store.parcels import Parcel, unpack
from gateway.store.scripts import ScriptCall, call

_CHUNK = 500
Chunk = Callable[[int, str, Sequence[str]], ScriptCall[int]]


class DeadLetterPlace(NamedTuple):
    """Where a letter stands in the list; also the cursor to go on behind it."""

    buried_ms: int
    shard: int
    entry: str

    @property
    def id(self) -> str:
        """The letter's id, as commands name it."""
        return f"{self.shard}:{self.entry}"


class DeadLetter(NamedTuple):
    place: DeadLetterPlace
    parcel: Parcel


class DeadLetters:
    """Of all subscribers. Everything raises `EngineUnavailable`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def count(self, name: str) -> int:
        counts = [
            await self._engine.command("ZCARD", keys.dead_at(shard, name))
            for shard in range(keys.SHARDS)
        ]
        return sum(counts)

    async def places(
        self, name: str, *, limit: int, after: DeadLetterPlace | None = None
    ) -> list[DeadLetterPlace]:
        """Return the oldest `limit` places behind `after`, oldest first."""
        per_shard = [
            await self._places_in(shard, name, limit, after) for shard in range(keys.SHARDS)
        ]
        return list(merge(*per_shard))[:limit]

    async def _places_in(
        self, shard: int, name: str, limit: int, after: DeadLetterPlace | None
    ) -> list[DeadLetterPlace]:
        found: list[DeadLetterPlace] = []
        skipped = 0
        while len(found) < limit:
            page = await self._engine.command(
                "ZRANGEBYSCORE",
                keys.dead_at(shard, name),
                after.buried_ms if after else "-inf",
                "+inf",
                "WITHSCORES",
                "LIMIT",
                skipped,
                limit,
            )
            places = [
                DeadLetterPlace(int(float(score)), shard, entry.decode())
                for entry, score in zip(page[::2], page[1::2], strict=True)
            ]
            skipped += len(places)
            # Many letters may share a millisecond: those up to `after` have been listed.
            found += [place for place in places if after is None or place > after]
            if len(places) < limit:
                break
        return found[:limit]

    async def list(
        self, name: str, *, limit: int = 100, after: DeadLetterPlace | None = None
    ) -> list[DeadLetter]:
        """Return up to `limit` letters behind `after`, oldest first."""
        letters = [
            await self.get(name, place.id, at=place)
            for place in await self.places(name, limit=limit, after=after)
        ]
        return [letter for letter in letters if letter is not None]

    async def get(
        self, name: str, letter_id: str, at: DeadLetterPlace | None = None
    ) -> DeadLetter | None:
        """Return one letter, or None when there is none of this id.

        Raises `EngineRefused` for an id that is none.
        """
        shard, entry = parse_id(letter_id)
        packed = await self._engine.command("HGET", keys.dead(shard, name), entry)
        if packed is None:
            return None
        parcel = unpack(packed)
        return DeadLetter(at or DeadLetterPlace(parcel.buried_ms, shard, entry), parcel)

    async def revive(self, name: str, letter_ids: Sequence[str] | None = None) -> int:
        """Make these letters, or all of them, due for delivery now; return how many.

        Raises `EngineRefused` for the gateway's own.
        """
        if name == keys.GATEWAY:
            raise EngineRefused(
                "these signed bodies are no events, so no subscriber can be given them:"
                " show or purge them"
            )
        return await self._move(_revive, name, letter_ids)

    async def purge(self, name: str, letter_ids: Sequence[str] | None = None) -> int:
        """Delete these letters, or all of them; return how many."""
        return await self._move(_purge, name, letter_ids)

    async def _move(self, chunk: Chunk, name: str, letter_ids: Sequence[str] | None) -> int:
        if letter_ids is None:
            return await self._move_all(chunk, name)
        moved = 0
        by_shard = groupby(sorted(map(parse_id, letter_ids)), key=lambda parsed: parsed[0])
        for shard, parsed in by_shard:
            entries = [entry for _, entry in parsed]
            for first in range(0, len(entries), _CHUNK):
                part = entries[first : first + _CHUNK]
                moved += await call(self._engine, chunk(shard, name, (str(now_ms()), "0", *part)))
        return moved

    async def _move_all(self, chunk: Chunk, name: str) -> int:
        moved, until = 0, str(now_ms())
        for shard in range(keys.SHARDS):
            while True:
                part = await call(self._engine, chunk(shard, name, (until, str(_CHUNK))))
                moved += part
                if part < _CHUNK:
                    break
        return moved


def parse_id(letter_id: str) -> tuple[int, str]:
    """Split a letter's id into shard and entry. Raises `EngineRefused` for anything else."""
    shard, colon, entry = letter_id.partition(":")
    if not (colon and entry and shard.isdecimal() and int(shard) < keys.SHARDS):
        raise EngineRefused(f"{letter_id!r} is no id of a dead letter: they look like 3:1789-0")
    return int(shard), entry


def _revive(shard: int, name: str, args: Sequence[str]) -> ScriptCall[int]:
    names = (
        keys.subscription(shard, name),
        keys.dead(shard, name),
        keys.dead_at(shard, name),
        keys.due(shard, name),
        keys.parked(shard, name),
    )
    return ScriptCall("revive", names, args, int)


def _purge(shard: int, name: str, args: Sequence[str]) -> ScriptCall[int]:
    names = (
        keys.subscription(shard, name),
        keys.dead(shard, name),
        keys.dead_at(shard, name),
    )
    return ScriptCall("purge", names, args, int)
