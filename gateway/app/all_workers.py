"""All workers as one, for the admin listener: what they count is added up, what they say joined.

What a worker had counted stays counted after its end: as of its last words, or if it was killed
as of the last look, which is at most a second old. The ledger needs none of that: of a journal
that nobody has open it reads the file.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from gateway import tally
from gateway.admin.engine_files import EngineFiles
from gateway.admin.ledger import JournalSide, compose
from gateway.app.role import journals
from gateway.app.worker_slot import NoAnswer, WorkerSlot
from gateway.engine.engine import Engine
from gateway.ingest.load_sharing import Loads
from gateway.journal.peek import look
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.tally import Snapshot

_LOOK_S = 1.0


class AllWorkers:
    """`slots`, `loads` and `files` are set by whoever makes them."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self.files = EngineFiles(None)
        self.slots: list[WorkerSlot] = []
        self.loads: Loads | None = None
        self._config, self._engine = config, engine
        self.counted = Metrics()  # of the supervisor itself
        self.counted.workers.track(read=lambda: sum(one.is_ready.is_set() for one in self.slots))
        self._retained = tally.empty()

    def ended(self, number: int, counted: Snapshot) -> None:
        """Keep what a worker had counted that has ended; its connections are no more."""
        if self.loads is not None:
            self.loads.leave(number)
        self._retained = tally.retained(self._retained, counted)
        self.counted.worker_ends.add()

    async def run(self) -> None:
        """Look at every worker until cancelled: what it counts, and whether it hangs."""
        while True:
            await asyncio.gather(*(one.counted() for one in self.slots))
            for one in self.slots:
                one.end_hanging()
            await asyncio.sleep(_LOOK_S)

    # ---- what the admin listener shows

    async def metrics(self) -> str:
        counted = await asyncio.gather(*(one.counted() for one in self.slots))
        return self.counted.render([self.counted.snapshot(), self._retained, *counted])

    async def reasons(self) -> list[str]:
        """Return what is not well: what all workers say once, else with the worker's number."""
        found = await asyncio.gather(*(one.reasons() for one in self.slots))
        common = [reason for reason in found[0] if all(reason in each for each in found)]
        return (
            self.files.reasons()
            + common
            + [
                f"worker {slot.number}: {reason}"
                for slot, reasons in zip(self.slots, found, strict=True)
                for reason in reasons
                if reason not in common
            ]
        )

    async def warnings(self) -> list[str]:
        """Return what an operator has to know all the same, whoever says it, once."""
        found = await asyncio.gather(*(one.warnings() for one in self.slots))
        said = dict.fromkeys(warning for warnings in found for warning in warnings)
        return await self.files.warnings() + list(said)

    async def ledger(self) -> dict[str, Any]:
        return await self.files.judged(await compose(self._engine, self._sides))

    async def _sides(self) -> list[JournalSide]:
        found = await asyncio.gather(*(self._sides_of(one) for one in self.slots))
        return [side for sides in found for side in sides]

    async def _sides_of(self, slot: WorkerSlot) -> list[JournalSide]:
        try:
            said: list[Mapping[str, Any]] = await slot.ask("journals")
            return [JournalSide(**one) for one in said]
        except NoAnswer:
            folders = journals(self._config.data_dir, slot.role)
            seen = [await asyncio.to_thread(look, folder) for folder in folders]
            return [JournalSide(one.id, one.written, None) for one in seen if one is not None]
