"""The gate to the engine: nothing is written there before it is known to be one that we can use.

The port does not wait for it: however long the engine needs, webhooks are taken into the journal.
One that is refused ends the process, with what to change. Whoever takes its place later, after a
failover or a change of its settings, is looked at as well, but then it is only told: to stop
would lose more.
"""

import asyncio
import logging
import time

from gateway.engine.engine import Engine
from gateway.engine.requirements import check_engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom, log
from gateway.options import RedisOptions
from gateway.store.format import check_format

_log = logging.getLogger("gateway")
_TRY_AGAIN_S = 0.2
_LOOK_AGAIN_S = 5.0
# An engine of our own has only just been started: that it does not answer yet is told after a
# moment, and is a fault only when it takes long.
_MOMENT_S, _LONG_S = 2.0, 60.0


class EngineGate:
    """`passed` once the engine may be used; `waiting`: why not yet; `complaint`: what is wrong with
    it since.
    """

    def __init__(self, engine: Engine, *, allow_volatile: bool, is_own: bool = False) -> None:
        """`is_own`: the engine is started with us."""
        self.passed = asyncio.Event()
        self.waiting = "it has not answered yet"
        self.complaint: str | None = None
        self._engine, self._allow_volatile, self._is_own = engine, allow_volatile, is_own
        self._seldom = Seldom()
        self._has_told = False

    async def run(self) -> None:
        """Look until cancelled. Raises `EngineRefused` for an engine that was never accepted."""
        began_s = time.monotonic()
        while not self.passed.is_set():
            try:
                await check_engine(self._engine, allow_volatile=self._allow_volatile)
                await check_format(self._engine)
                self.passed.set()
                self.waiting = ""
                if self._has_told:
                    log(_log, logging.INFO, "Redis answers")
            except EngineUnavailable as error:
                self.waiting = str(error)
                self._tell(time.monotonic() - began_s)
                await asyncio.sleep(_TRY_AGAIN_S)
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            await self._look_again()

    def _tell(self, waited_s: float) -> None:
        """Say that we wait, and for what: once as long as that is normal."""
        what = "waiting for Redis"
        if not self._is_own or waited_s >= _LONG_S:
            self._seldom.log("away", _log, what, reason=self.waiting)
        elif waited_s < _MOMENT_S:
            return
        elif not self._has_told:
            log(_log, logging.INFO, what, reason=self.waiting)
        self._has_told = True

    async def _look_again(self) -> None:
        try:
            await check_engine(self._engine, allow_volatile=self._allow_volatile)
            self.complaint = None
        except EngineUnavailable:
            pass  # others say so
        except EngineRefused as error:
            self.complaint = str(error)
            self._seldom.log("complaint", _log, "this Redis may lose events", reason=str(error))


def gate_to(engine: Engine, options: RedisOptions) -> EngineGate:
    """Return the gate to the engine that is configured."""
    is_own = options.url == "embedded"
    return EngineGate(engine, allow_volatile=options.allow_volatile, is_own=is_own)
