"""What gives way when an engine's memory is nearly full, so that publishing need not stop.

In this order: history, oldest first, and with it what hangs on it (a resume that reaches back so
far, `start: earliest`); then the states of calls that were touched longest ago. Never a digest
within the dedupe window, nor what any subscriber still needs. When there is nothing left that may
go, publishing waits in the journal.

An engine of our own is held to its bound in the machine's memory too. What is freed leaves holes
in its heap, in which digests settle that stay for long; so where the heap grows beyond its part
of what the engine may take, twice as much less may be used, and what comes next finds holes of
its size.

Each engine of a Cluster is looked at alone. Any number may do this at once: what is left is
bounded by sizes that all of them find alike.
"""

import asyncio
import logging
from collections.abc import Sequence
from math import inf
from time import monotonic

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.engine.info import Memory, memory_at
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.options import RetentionOptions
from gateway.sizing import YIELDS_FROM, whole_bytes
from gateway.store import keys
from gateway.store.scripts import call
from gateway.store.states.call_store import forget_beyond
from gateway.store.taking.subscriptions import Subscriptions
from gateway.store.upkeep.retention import Trimmed, trim

_log = logging.getLogger("gateway.memory")
BEGIN, UNTIL = YIELDS_FROM, 0.80  # of the bound
_LEAST = 0.3  # of it may be used in any case
_RESIDENT = 0.6  # of what the engine may take of the machine; the rest is for a fork of it
_SHORTEST_S, _LONGEST_S = 0.05, 0.5  # from one look to the next
_ROUNDS = 4  # in one look: what an entry weighs in memory shows only when it is gone
_NOTHING_BYTES = 1 << 16  # of a shard's history: not worth a search
_CALMS_DOWN_S = 600.0
_UNSEEN = (
    "the engine does not let its memory be looked at: nothing gives way before it is full. Allow"
    " INFO to the gateway's user"
)
_HISTORY = (
    "history gives way: the engine's memory is nearly full. Watchers that come back, and new"
    " subscribers with start: earliest, find less than retention.history says: raise the engine's"
    " memory (redis.max_memory of the embedded one), or lower retention.history or .max_size"
)
_CALLS = (
    "states of calls give way, the longest untouched first: the engine's memory is nearly full, and"
    " no history is left in it. Look who is behind (gateway subscriber list), or raise the engine's"
    " memory (redis.max_memory of the embedded one)"
)


class Yielding:
    """Looks at the engine's memory until cancelled, the more often the faster it fills."""

    def __init__(
        self, engine: Engine, options: RetentionOptions, metrics: Metrics, *, is_own: bool = False
    ) -> None:
        """`is_own`: the engine is the embedded one."""
        self._is_own, self._resident_bytes = is_own, 0  # at the last look
        self._holes_bytes = 0  # of the bound, not to be used
        self._engine, self._options, self._metrics = engine, options, metrics
        self._unseen = ""  # why the memory cannot be looked at
        self._history_until_ms: int | None = None  # by then what went would have gone by itself
        self._history_from_ms = 0  # it reaches back to there
        self._calls_at: float | None = None  # the last time that any went
        self._before: dict[int, tuple[float, int]] = {}  # at the last look, by a server's shard

    async def run(self) -> None:
        while True:
            pause_s = _LONGEST_S
            try:
                pause_s = await self.look()
                self._tell_unseen("")
            except EngineRefused as error:
                self._tell_unseen(str(error))
            except EngineUnavailable:
                pass  # that it is away is told by whoever has something to do there
            await asyncio.sleep(pause_s)

    def warnings(self) -> list[str]:
        """Return what gives way, and has not come back, in words for who can make room."""
        found = []
        if self._unseen:
            found.append(f"{_UNSEEN} ({self._unseen})")
        if self._history_until_ms is not None:
            found.append(f"{_HISTORY} (now it reaches back {self._reach_s()} s)")
        if self._calls_at is not None:
            found.append(_CALLS)
        return found

    async def look(self) -> float:
        """Have go what has to; return how long nobody need look again, in seconds.

        Raises `EngineUnavailable` or `EngineRefused`.
        """
        pause_s = _LONGEST_S
        for shards in await self._engine.by_server(keys.EVENTS):
            found = left = await memory_at(self._engine, keys.EVENTS[shards[0]])
            if self._is_own:
                self._count_holes(found)
            if found.used_bytes > self._most(found, BEGIN):
                left = await self._ease(shards, found)
            pause_s = min(pause_s, self._pause_s(shards[0], found, left))
        self._tell_what_is_over()
        return pause_s

    def _pause_s(self, server: int, found: Memory, left: Memory) -> float:
        """Return half the time until it is full, should it go on as since the last look.

        `found` at the beginning of this look, `left` at its end.
        """
        now = monotonic()
        at, used = self._before.get(server, (now, found.used_bytes))
        self._before[server] = now, left.used_bytes
        grown, room = found.used_bytes - used, self._most(left, BEGIN) - left.used_bytes
        if grown <= 0 or room <= 0:  # nothing comes; or nothing can be done
            return _LONGEST_S
        return max(_SHORTEST_S, min(_LONGEST_S, room / grown * (now - at) / 2))

    def _most(self, memory: Memory, share: float) -> float:
        """Return how many bytes may be used for `share` of the bound; any, without a bound."""
        whole = memory.bound_bytes
        return max(share * whole - self._holes_bytes, _LEAST * whole) if whole else inf

    def _count_holes(self, memory: Memory) -> None:
        bound = int(_RESIDENT * whole_bytes(memory.bound_bytes))
        grown = memory.resident_bytes - max(bound, self._resident_bytes)
        if grown > 0:
            most = int((BEGIN - _LEAST) * memory.bound_bytes)
            self._holes_bytes = min(self._holes_bytes + 2 * grown, most)
        elif memory.resident_bytes < bound:
            self._holes_bytes = 0
        self._resident_bytes = memory.resident_bytes

    async def _ease(self, shards: Sequence[int], memory: Memory) -> Memory:
        for yields in (self._shorten_history, self._forget_calls):
            for _ in range(_ROUNDS):
                excess = int(memory.used_bytes - self._most(memory, UNTIL))
                if excess <= 0 or not await yields(shards, excess):
                    break
                memory = await memory_at(self._engine, keys.EVENTS[shards[0]])
            if memory.share <= BEGIN:  # holes alone cost no call its state
                break
        return memory

    # ---- history

    async def _shorten_history(self, shards: Sequence[int], excess: int) -> bool:
        """Have so many bytes of it go; tell whether any have."""
        names = sorted(await Subscriptions(self._engine).read())
        # Nothing is so old, or so much: this only asks.
        have = [await self._trim(shard, names, 1 << 53) for shard in shards]
        total = sum(one.left_bytes for one in have)
        if total < _NOTHING_BYTES * len(shards):
            return False
        kept = max(0, total - excess)
        entries, before_ms = 0, 0
        for shard, one in zip(shards, have, strict=True):
            trimmed = await self._trim(shard, names, one.left_bytes * kept // total)
            entries += trimmed.entries
            before_ms = max(before_ms, trimmed.before_ms if trimmed.entries else 0)
        if entries:
            self._tell_history(entries, before_ms)
        return entries > 0

    async def _trim(self, shard: int, names: Sequence[str], max_bytes: int) -> Trimmed:
        return await call(self._engine, trim(shard, names, oldest_ms=0, max_bytes=max_bytes))

    def _tell_history(self, entries: int, before_ms: int) -> None:
        self._metrics.yielded.add("history", by=entries)
        self._history_from_ms = max(self._history_from_ms, before_ms)
        if self._history_until_ms is None:
            log(_log, logging.WARNING, _HISTORY, reaches_back_s=self._reach_s())
        until_ms = before_ms + int(self._options.history_s * 1000)
        self._history_until_ms = max(self._history_until_ms or 0, until_ms)

    def _reach_s(self) -> int:
        return max(0, now_ms() - self._history_from_ms) // 1000

    # ---- states of calls

    async def _forget_calls(self, shards: Sequence[int], excess: int) -> bool:
        """Have so many bytes of them go; tell whether any have."""
        sizes = [
            int(await self._engine.command("GET", keys.call_states(shard)[3]) or 0)
            for shard in shards
        ]
        total = sum(sizes)
        kept = max(0, total - excess)
        forgotten = 0
        for shard, size in zip(shards, sizes, strict=True):
            if size > 0:
                forgotten += await forget_beyond(self._engine, shard, size * kept // total)
        if forgotten:
            self._metrics.yielded.add("calls", by=forgotten)
            if self._calls_at is None:
                log(_log, logging.WARNING, _CALLS)
            self._calls_at = monotonic()
        return forgotten > 0

    # ---- what cannot be seen, what is over

    def _tell_unseen(self, why: str) -> None:
        if why and not self._unseen:
            log(_log, logging.WARNING, _UNSEEN, reason=why)
        elif self._unseen and not why:
            log(_log, logging.INFO, "the engine lets its memory be looked at again")
        self._unseen = why

    def _tell_what_is_over(self) -> None:
        if self._history_until_ms is not None and now_ms() > self._history_until_ms:
            self._history_until_ms = None
            log(_log, logging.INFO, "history reaches back as far as it should again")
        if self._calls_at is not None and monotonic() - self._calls_at > _CALMS_DOWN_S:
            self._calls_at = None
            log(_log, logging.INFO, "states of calls need not give way any more")
