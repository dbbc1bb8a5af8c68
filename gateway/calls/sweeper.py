"""The sweeper: forgets calls that nothing has been heard of for long, and the oldest of too many.

Any number of sweepers may run at once.
"""

import asyncio
import logging

from gateway.clock import now_ms
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom, log
from gateway.options import FeedOptions
from gateway.store.states.call_store import CallStore

_logger = logging.getLogger(__name__)


class CallSweeper:
    """Sweeps every `interval_s` until cancelled."""

    def __init__(self, store: CallStore, options: FeedOptions, *, interval_s: float = 60.0) -> None:
        self._store, self._options, self._interval_s = store, options, interval_s
        self._seldom = Seldom()

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log("calls", _logger, "cannot forget old calls", reason=str(error))
            await asyncio.sleep(self._interval_s)

    async def make_room(self, app: str, cid: str) -> None:
        """Forget the oldest beside this call, if there are too many now.

        For calls that anybody may make: within an interval they could fill all memory. Raises as
        `sweep`.
        """
        await self._store.sweep_beside(
            app, cid, max_calls=self._options.max_calls, max_bytes=self._options.max_calls_bytes
        )

    async def sweep(self) -> None:
        """Go over all calls once. Raises `EngineUnavailable` or `EngineRefused`."""
        forgotten = await self._store.sweep(
            oldest_ms=now_ms() - int(self._options.calls_retention_s * 1000),
            max_calls=self._options.max_calls,
            max_bytes=self._options.max_calls_bytes,
        )
        if forgotten:
            log(_logger, logging.INFO, "calls forgotten", calls=forgotten)
