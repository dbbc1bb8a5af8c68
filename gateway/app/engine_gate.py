"""The gate to the engine: nothing is written there before it is known to be one that we can use.

The port does not wait for it: however long the engine needs, webhooks are taken into the journal.
One that is refused ends the process, with what to change. Whoever takes its place later, after a
failover or a change of its settings, is looked at as well, but then it is only told: to stop
would lose more.
"""

import asyncio
import logging

from gateway.engine.engine import Engine
from gateway.engine.requirements import check_engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom
from gateway.store.format import check_format

_log = logging.getLogger("gateway")
_TRY_AGAIN_S = 0.2
_LOOK_AGAIN_S = 5.0


class EngineGate:
    """`passed` once the engine may be used; `waiting`: why not yet; `complaint`: what is wrong with
    it since.
    """

    def __init__(self, engine: Engine, *, allow_volatile: bool) -> None:
        self.passed = asyncio.Event()
        self.waiting = "it has not answered yet"
        self.complaint: str | None = None
        self._engine, self._allow_volatile = engine, allow_volatile
        self._seldom = Seldom()

    async def run(self) -> None:
        """Look until cancelled. Raises `EngineRefused` for an engine that was never accepted."""
        while not self.passed.is_set():
            try:
                await check_engine(self._engine, allow_volatile=self._allow_volatile)
                await check_format(self._engine)
                self.passed.set()
                self.waiting = ""
            except EngineUnavailable as error:
                self.waiting = str(error)
                self._seldom.log("away", _log, "waiting for Redis", reason=self.waiting)
                await asyncio.sleep(_TRY_AGAIN_S)
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            await self._look_again()

    async def _look_again(self) -> None:
        try:
            await check_engine(self._engine, allow_volatile=self._allow_volatile)
            self.complaint = None
        except EngineUnavailable:
            pass  # others say so
        except EngineRefused as error:
            self.complaint = str(error)
            self._seldom.log("complaint", _log, "this Redis may lose events", reason=str(error))
