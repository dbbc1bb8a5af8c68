"""Reading shards behind given ids, without a group, on a connection of its own.

One exchange asks for entries, waiting for the first, and then for every shard's epoch: an epoch
that is still the old one after the entries were read vouches for all of them. Where one command
can be about one shard only, each shard has a reader.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.engine.engine import Engine
from gateway.engine.own_links import OwnLinks
from gateway.engine.resp import arguments, pack
from gateway.store import keys
from gateway.store.entries import Id, parse_id
from gateway.store.scripts import script
from gateway.store.taking.doorbell import BLOCK_MS

_EPOCH_BYTES = 6
_OPTIONS = 6  # arguments of XREAD beside names and ids


class Position(NamedTuple):
    """Behind one entry of a shard: where somebody stands, or the shard ends."""

    epoch: str
    number: int
    id: Id


class Raw(NamedTuple):
    """An entry as it lies in its stream."""

    id: Id
    fields: Sequence[bytes]  # names and values in turn, as the publisher writes them


class ShardPage(NamedTuple):
    """What one read has found in one shard: maybe only that its epoch, after it, is another."""

    shard: int
    epoch: str
    entries: list[Raw]


class ShardReader:
    """Of `shards`, all in one slot or on one server. Everything raises `EngineUnavailable` or
    `EngineRefused`.
    """

    def __init__(self, engine: Engine, shards: Sequence[int]) -> None:
        self.shards = shards
        timeout_s = engine.timeout_s + BLOCK_MS / 1000
        self._links = OwnLinks(engine.url, timeout_s=timeout_s, access=engine.access)
        self._engine, self._interruptions = engine, engine.interruptions
        # All of a read that is the same each time: it is made for every few entries.
        self._names = [keys.events(shard).encode() for shard in shards]
        self._streams = arguments("STREAMS", *self._names)
        self._epochs = [pack("HGET", keys.shard_state(shard), "epoch") for shard in shards]

    async def standing(self) -> dict[int, Position]:
        """Return where each shard ends."""
        source = script("standing").source
        replies = await self._exchange(
            [
                pack("EVAL", source, 2, keys.events(shard), keys.shard_state(shard), _new_epoch())
                for shard in self.shards
            ],
            self.shards,
        )
        return {
            shard: Position(epoch.decode(), number, parse_id(last))
            for shard, (epoch, number, last) in zip(self.shards, replies, strict=True)
        }

    async def read(self, after: Sequence[Position], count: int) -> list[ShardPage]:
        """Return a page of each shard that has entries behind `after`, or another epoch than that.

        `after` has a position for each of our shards; a page up to `count` entries. Waits up to
        `BLOCK_MS` for the first.
        """
        found, *epochs = await self._exchange(
            [self._read(after, count), *self._epochs], (self.shards[0], *self.shards)
        )
        entries, pages = dict(found or ()), []
        for shard, name, was, epoch in zip(self.shards, self._names, after, epochs, strict=True):
            now, some = (epoch or b"").decode(), entries.get(name, ())
            if some or now != was.epoch:
                pages.append(
                    ShardPage(shard, now, [Raw(parse_id(one), values) for one, values in some])
                )
        return pages

    def _read(self, after: Sequence[Position], count: int) -> bytes:
        ids = [_packed(one.id) for one in after]
        return b"".join((_head(len(self.shards), count), self._streams, *ids))

    async def _exchange(self, commands: Sequence[bytes], shards: Sequence[int]) -> list[Any]:
        if self._interruptions != self._engine.interruptions:
            # Others have met a server that is deposed; we, who only read, would not notice.
            self._interruptions = self._engine.interruptions
            self._links.doubt()
        replies = await self._links.exchange(commands, [keys.EVENTS[shard] for shard in shards])
        for reply in replies:
            if isinstance(reply, Exception):
                raise self._links.explained(reply)
        return replies

    async def close(self) -> None:
        await self._links.close()


@lru_cache(maxsize=16)
def _head(shards: int, count: int) -> bytes:
    """Return an XREAD up to the word in front of its streams."""
    options = arguments("XREAD", "COUNT", count, "BLOCK", BLOCK_MS)
    return b"*%d\r\n%b" % (_OPTIONS + 2 * shards, options)


@lru_cache(maxsize=2 * keys.SHARDS)
def _packed(after: Id) -> bytes:
    ms, seq = after
    return arguments(f"{ms}-{seq}")


def _new_epoch() -> str:
    return os.urandom(_EPOCH_BYTES).hex()


def readers_of(engine: Engine) -> list[ShardReader]:
    """Return readers that have all shards between them."""
    return [ShardReader(engine, shards) for shards in keys.together(is_split=engine.is_cluster)]
