"""The doorbell: one blocking read per process that tells which shards have something new (in a
Cluster one for each shard).

Workers take events in scripts that never block; one that found nothing waits here. So a process
without traffic has one sleeping connection and uses no CPU, and an event wakes its worker at
once. The bell only rings, it hands out no events. When nobody waits it does not even listen;
under load it pauses between rings, so that takes become larger instead of more frequent.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom
from gateway.store import keys
from gateway.store.entries import NOTHING, Id, parse_id
from gateway.tasks import together

_logger = logging.getLogger(__name__)
BLOCK_MS = 5_000
PAUSE_S = 0.002
AWAY_S = 0.5


class BellWaiter:
    """Whoever has found nothing new: `bell` is set when one of its shards has."""

    __slots__ = ("bell", "rung", "waiting")

    def __init__(self, bell: asyncio.Event) -> None:
        self.bell = bell
        self.waiting: dict[int, Id] = {}  # shard -> the last id it has taken
        self.rung: set[int] = set()  # shards to look at


class Doorbell:
    """Shared by all workers of a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noticed: list[Id] = [NOTHING] * keys.SHARDS
        self._waiters: list[set[BellWaiter]] = [set() for _ in range(keys.SHARDS)]
        self._awaited = asyncio.Event()
        self._seldom = Seldom()

    def wait(self, waiter: BellWaiter, shard: int, taken: Id) -> None:
        """Have `waiter` rung once `shard` has an entry behind `taken`; now if it has already."""
        if self._noticed[shard] > taken:
            waiter.rung.add(shard)
            waiter.bell.set()
            return
        self._noticed[shard] = taken
        waiter.waiting[shard] = taken
        self._waiters[shard].add(waiter)
        self._awaited.set()

    def forget(self, waiter: BellWaiter, shard: int) -> None:
        waiter.waiting.pop(shard, None)
        self._waiters[shard].discard(waiter)

    async def run(self) -> None:
        """Listen until cancelled."""
        await together(
            *(self._listen(shards) for shards in keys.together(is_split=self._engine.is_cluster))
        )

    async def _listen(self, shards: Sequence[int]) -> None:
        while True:
            await self._listen_once(shards)

    async def _listen_once(self, shards: Sequence[int]) -> None:
        while not any(self._waiters[shard] for shard in shards):
            self._awaited.clear()
            await self._awaited.wait()
        try:
            found = [
                (shard, entry_id if self._waiters[shard] else await self._end_of(shard))
                for shard, entry_id in await self._read(shards)
            ]
        except (EngineUnavailable, EngineRefused) as error:
            self._seldom.log("bell", _logger, "cannot listen for events", reason=str(error))
            self._ring_all(shards)  # whoever takes next finds out what is wrong, if it still is
            await asyncio.sleep(AWAY_S)
            return
        for shard, entry_id in found:
            self._ring(shard, entry_id)
        if found:
            await asyncio.sleep(PAUSE_S)

    async def _read(self, shards: Sequence[int]) -> list[tuple[int, Id]]:
        names = {keys.events(shard).encode(): shard for shard in shards}
        after = [f"{ms}-{seq}" for ms, seq in (self._noticed[shard] for shard in shards)]
        reply: Any = await self._engine.blocking(
            "XREAD",
            "COUNT",
            1,
            "BLOCK",
            BLOCK_MS,
            "STREAMS",
            *names,
            *after,
            key=keys.events(shards[0]),
            timeout_s=BLOCK_MS / 1000 + self._engine.timeout_s,
        )
        return [(names[name], parse_id(entries[-1][0])) for name, entries in reply or ()]

    async def _end_of(self, shard: int) -> Id:
        """Where nobody waits, go to the end at once instead of ringing for each entry."""
        reply: Any = await self._engine.command(
            "XREVRANGE", keys.events(shard), "+", "-", "COUNT", 1
        )
        return parse_id(reply[0][0]) if reply else NOTHING

    def _ring(self, shard: int, entry_id: Id) -> None:
        self._noticed[shard] = max(self._noticed[shard], entry_id)
        for waiter in tuple(self._waiters[shard]):
            if waiter.waiting[shard] < entry_id:
                self.forget(waiter, shard)
                waiter.rung.add(shard)
                waiter.bell.set()

    def _ring_all(self, shards: Sequence[int]) -> None:
        for shard in shards:
            self._noticed[shard] = NOTHING  # ids may have gone back: a flush, a failover
            self._ring_shard(shard)

    def _ring_shard(self, shard: int) -> None:
        for waiter in tuple(self._waiters[shard]):
            self.forget(waiter, shard)
            waiter.rung.add(shard)
            waiter.bell.set()
