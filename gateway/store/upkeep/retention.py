"""The janitor: keeps streams and dead letters within their bounds.

A stream keeps what some group has not settled, whatever its size (backlogs have a bound of
their own), and behind that a history bounded in time and bytes. Dead letters are bounded in
time and bytes, the oldest go first. Any number of janitors may run at once.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom, log
from gateway.options import RetentionOptions
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call
from gateway.store.taking.subscriptions import Subscriptions

_logger = logging.getLogger(__name__)
_CHUNK = 500


class Trimmed(NamedTuple):
    """What a trim has left of one shard's history. `before_ms`: nothing older is there, Unix ms."""

    entries: int  # that went
    left_bytes: int
    before_ms: int


def trim(
    shard: int, names: Sequence[str], *, oldest_ms: int, max_bytes: int
) -> ScriptCall[Trimmed]:
    """Cut off what of a shard's history is older, or more. `names`: all known subscribers."""
    keeper = keys.subscription(shard, keys.CALL_KEEPER)
    subscriptions = (keys.subscription(shard, name) for name in names)
    return ScriptCall(
        "trim",
        (keys.events(shard), keys.shard_state(shard), keeper, *subscriptions),
        (oldest_ms, max_bytes, now_ms(), *names),
        lambda reply: Trimmed(*map(int, reply)),
    )


class Janitor:
    """Sweeps every `interval_s` until cancelled."""

    def __init__(
        self, engine: Engine, options: RetentionOptions, *, interval_s: float = 5.0
    ) -> None:
        self._engine = engine
        self._options = options
        self._interval_s = interval_s
        self._seldom = Seldom()

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log("sweep", _logger, "cannot clean up", reason=str(error))
            await asyncio.sleep(self._interval_s)

    async def sweep(self) -> None:
        """Go over everything once. Raises `EngineUnavailable` or `EngineRefused`."""
        names = sorted(await Subscriptions(self._engine).read())
        for shard in range(keys.SHARDS):
            await call(self._engine, self._trim(shard, names))
        for name in (*names, keys.GATEWAY):
            expired = sum([await self._expire(shard, name) for shard in range(keys.SHARDS)])
            if expired:
                log(_logger, logging.INFO, "dead letters expired", subscriber=name, letters=expired)

    def _trim(self, shard: int, names: list[str]) -> ScriptCall[Trimmed]:
        # Ids of entries begin in 1970, however long the history is to be.
        oldest_ms = max(0, now_ms() - int(self._options.history_s * 1000))
        max_bytes = self._options.max_bytes // keys.SHARDS
        return trim(shard, names, oldest_ms=oldest_ms, max_bytes=max_bytes)

    async def _expire(self, shard: int, name: str) -> int:
        names = (
            keys.subscription(shard, name),
            keys.dead(shard, name),
            keys.dead_at(shard, name),
        )
        oldest_ms = now_ms() - int(self._options.dead_letters_s * 1000)
        max_bytes = self._options.dead_letters_max_bytes // keys.SHARDS
        total = 0
        while True:
            args = (oldest_ms, max_bytes, _CHUNK)
            dropped = await call(self._engine, ScriptCall("expire_dead", names, args, int))
            total += dropped
            if dropped < _CHUNK:
                return total
