"""Messages between the processes that share a Redis: to one of them, by its name, at most once.

For questions whose asker gives up by itself; nothing that must not be lost goes this way. A
connection that has died without a word is noticed within seconds, and opened again.
"""

import asyncio
import logging
from collections.abc import Callable

from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom
from gateway.store import keys

_logger = logging.getLogger(__name__)
_AWAY_S = 0.5


class Mailbox:
    """`name`: of this process."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.is_open = asyncio.Event()  # what is sent to us from now on arrives
        self._engine, self._name = engine, name
        self._seldom = Seldom()

    async def send(self, name: str, message: bytes) -> None:
        """Send to process `name`. Raises `EngineUnavailable` or `EngineRefused`."""
        await self._engine.command("PUBLISH", keys.mailbox(name), message)

    async def run(self, take: Callable[[bytes], None]) -> None:
        """Give every message to `take` until cancelled; it must not raise."""
        while True:
            try:
                async for message in self._engine.listen(keys.mailbox(self._name)):
                    if message is None:
                        self.is_open.set()
                    else:
                        take(message)
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log("away", _logger, "cannot hear other processes", reason=str(error))
            self.is_open.clear()
            await asyncio.sleep(_AWAY_S)
