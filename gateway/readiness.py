"""Whether the gateway is ready: for the prober a yes or no, for the operator the reasons.

The prober's question is whether a webhook sent now would be stored. Redis being away does not
change that answer, because taking the gateway out of service would lose what the journal could
have kept; a full journal or a drain does. The operator's list has everything that is not well.
"""

import asyncio
import logging
from typing import Protocol

from gateway.engine.engine import Engine
from gateway.engine.info import fullest, is_rewritten
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.journal.journal import Journal
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.publishing.publisher import Publisher
from gateway.store.upkeep.memory_report import largest_holders
from gateway.store.upkeep.yielding import Yielding

_log = logging.getLogger("gateway")
_POLL_S = 5.0
_NOT_REWRITTEN = (
    "the engine could not rewrite its append-only file, which grows until its disk is full: its own"
    " log says why; look at the room on that disk, and for memory that a fork of it may take"
)
_WAITS = (
    "publishing waits in the journal, or had to just now: the engine's memory is full, and nothing"
    " is left in it that may go. Look who is behind (gateway subscriber list), or raise the"
    " engine's memory (redis.max_memory of the embedded one)"
)
NEAR = 0.9
TAKEN = (
    "another process has opened this journal: no webhooks are taken here, what was taken is still"
    " published; stop one of the two, and give each gateway a data_dir of its own, on a disk with"
    " locks"
)


class Entering(Protocol):
    """The gate to the engine: `complaint`: what is wrong with it; `waiting`: why it is not open."""

    complaint: str | None
    waiting: str


class Readiness:
    """Looks at the engine now and then; everything else is asked when asked."""

    def __init__(
        self,
        engine: Engine,
        journal: Journal | None,
        publisher: Publisher | None,
        journal_max_bytes: int,
        gate: Entering,
        *,
        metrics: Metrics,
        yielding: Yielding | None = None,
        tells: bool = True,
    ) -> None:
        """Without `journal` and `publisher` nothing is taken here. `tells`: nobody else does."""
        self._yielding = yielding
        self.is_draining = False
        self._engine, self._journal, self._publisher = engine, journal, publisher
        self._journal_max_bytes, self._gate = journal_max_bytes, gate
        self._metrics, self._tells, self._is_rewritten = metrics, tells, True
        self._memory_share, self._holders = 0.0, ""
        self._is_away, self._why = False, ""  # at the last look

    async def run(self) -> None:
        while True:
            try:
                await self._look()
                self._is_away = False
            except EngineUnavailable as error:
                self._is_away, self._why = True, str(error)
                self._memory_share, self._holders = 0.0, ""
            except EngineRefused:  # it is there, and does not let itself be asked
                self._is_away = False
                self._memory_share, self._holders = 0.0, ""
            await asyncio.sleep(_POLL_S)

    async def _look(self) -> None:
        server = await fullest(self._engine, keys.EVENTS)
        self._memory_share = server.memory.share
        is_told = self._memory_share >= NEAR or bool(self._given_way())
        self._holders = await largest_holders(self._engine, server.places) if is_told else ""
        self._see_rewrites(is_ok=await is_rewritten(self._engine))

    def _see_rewrites(self, *, is_ok: bool) -> None:
        self._metrics.engine_rewrite_ok.set(to=int(is_ok))
        if self._tells and is_ok != self._is_rewritten:
            level = logging.INFO if is_ok else logging.WARNING
            log(_log, level, "the engine rewrites its file again" if is_ok else _NOT_REWRITTEN)
        self._is_rewritten = is_ok

    def takes_webhooks(self) -> bool:
        """Whether a webhook sent now would be stored."""
        journal = self._journal
        is_shut = journal is not None and (journal.is_full or journal.is_taken)
        return not self.is_draining and not is_shut

    def warnings(self) -> list[str]:
        """Return what an operator has to know although webhooks are taken and delivered."""
        found = self._given_way()
        if found and self._holders and self._tells:
            found.append(f"most of the engine's memory is held by: {self._holders}")
        return found

    def _given_way(self) -> list[str]:
        found = [] if self._yielding is None else self._yielding.warnings()
        if self._publisher is not None and self._publisher.is_full:
            found.append(_WAITS)
        return found

    def reasons(self) -> list[str]:
        """Return what is not well, in words; empty when all is."""
        found = []
        if self.is_draining:
            found.append("draining: the process is about to end")
        if self._journal is not None and self._journal.is_taken:
            found.append(TAKEN)
        if why := self._of_publishing():
            found.append(why)
        if not self._is_rewritten:
            found.append(_NOT_REWRITTEN)
        if self._gate.complaint is not None:
            found.append(self._gate.complaint)
        if self._journal_share >= NEAR:
            found.append(f"the journal is {self._journal_share:.0%} full")
        if self._memory_share >= NEAR:
            held = f", most of it held by: {self._holders}" if self._holders else ""
            found.append(f"the engine's memory is {self._memory_share:.0%} used{held}")
        return found

    def _of_publishing(self) -> str:
        """Return why nothing is published or delivered, empty when it is."""
        publisher = self._publisher
        if publisher is None:
            why = self._gate.waiting or (self._is_away and self._why)
            return f"Redis is away: deliveries wait ({why})" if why else ""
        waits = publisher.is_up and publisher.is_full and publisher.waiting
        if waits or publisher.lacks_room:
            return "the engine is full: webhooks are taken into the journal, and wait there"
        if not publisher.is_up:
            why = publisher.why_down or self._gate.waiting or "nothing is published yet"
            return f"Redis is away: webhooks are taken into the journal ({why})"
        if publisher.lacks_replicas:
            return "too few replicas have all events: webhooks wait for them, then get 503"
        return ""

    @property
    def _journal_share(self) -> float:
        """How full the journal is with what still waits; published segments make room."""
        if self._journal is None or self._publisher is None or not self._publisher.waiting:
            return 0.0
        return self._journal.size_bytes / self._journal_max_bytes
