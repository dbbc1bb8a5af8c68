"""What the keeper of call states has not taken in yet: so that nobody has to wait for it.

Read on from where we stopped before, a shard at a time, and forgotten as it is kept: mostly that
is nothing or a moment's worth. Bounded: where the keeper is further behind than that, who wants
to know is told to come again.
"""

import asyncio
from collections.abc import Iterable, Sequence

import msgspec

from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable
from gateway.event import Meta, read_meta
from gateway.options import KIB, MIB
from gateway.store import keys
from gateway.store.entries import Id, parse_id, read_entries
from gateway.store.scripts import ScriptCall, call

_LOOK, _LOOK_BYTES = 1024, 512 * KIB  # in one exchange
_MOST_BYTES = 2 * MIB  # of one shard, kept here
_WITHIN_S = 2.0


class Unread(msgspec.Struct, frozen=True, gc=False):
    """An event that no state has yet, unless it has just been taken in."""

    id: Id
    meta: Meta
    body: bytes


class _Shard:
    def __init__(self, number: int) -> None:
        self.names = (
            keys.events(number),
            keys.subscription(number, keys.CALL_KEEPER),
            keys.shard_state(number),
        )
        self.turn = asyncio.Lock()
        self.begun = 0  # readings, by number
        self.done = 0  # the last one that came to its end
        self.epoch, self.place = b"", b""
        self.events: list[Unread] = []
        self.bytes = 0


class UnreadEvents:
    """`passing_over`: types that say nothing. Make it inside the running loop."""

    def __init__(self, engine: Engine, passing_over: Iterable[str]) -> None:
        self._engine = engine
        self._passing_over = "".join(f"{kind}\n" for kind in sorted(passing_over))
        self._shards = [_Shard(number) for number in range(keys.SHARDS)]

    async def of(self, app: str, cids: Sequence[str]) -> dict[str, list[Unread]]:
        """Return what is unread of `cids`, in order; calls of which nothing is are left out.

        Raises `EngineRefused`; `EngineUnavailable` also where too much is unread.
        """
        wanted: dict[int, set[str]] = {}
        for cid in cids:
            wanted.setdefault(keys.shard_of(keys.call_key(app, cid)), set()).add(cid)
        await asyncio.gather(*(self._read(self._shards[number]) for number in wanted))
        found: dict[str, list[Unread]] = {}
        for number, calls in wanted.items():
            for event in self._shards[number].events:
                if event.meta.app == app and event.meta.call_cid in calls:
                    found.setdefault(event.meta.call_cid, []).append(event)
        return found

    async def _read(self, shard: _Shard) -> None:
        """Have all of a shard that was published before now."""
        asked = shard.begun
        try:
            async with asyncio.timeout(_WITHIN_S), shard.turn:
                if shard.done > asked:  # began while we waited
                    return
                shard.begun += 1
                while await self._read_on(shard):
                    if shard.bytes > _MOST_BYTES:
                        raise EngineUnavailable("the states of calls are far behind")
                shard.done = shard.begun
        except TimeoutError:
            raise EngineUnavailable("the states of calls are far behind") from None

    async def _read_on(self, shard: _Shard) -> bool:
        look = _LOOK if shard.bytes <= _MOST_BYTES else 0  # then only what is kept by now
        args = (shard.epoch, shard.place, self._passing_over, look, _LOOK_BYTES)
        reply = await call(self._engine, ScriptCall("unread", shard.names, args, tuple))
        epoch, kept, more, place, entries = reply
        kept_id = parse_id(kept)
        if epoch != shard.epoch:  # it has lost its end: what was read of that is no more
            shard.events = []
        shard.events = [one for one in shard.events if one.id > kept_id]
        shard.epoch, shard.place = epoch, place
        for entry in read_entries(entries):
            try:
                shard.events.append(Unread(parse_id(entry.id), read_meta(entry.meta), entry.body))
            except msgspec.MsgspecError:  # something else writes to our streams
                continue
        shard.bytes = sum(len(one.body) for one in shard.events)
        return bool(more)
