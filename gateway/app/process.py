"""One process: its parts, its public port, its beginning and its end.

Order matters twice. At the start the public port opens first: the journal takes webhooks however
long Redis needs. At the end things stop in the direction of the flow: no new webhooks, what was
taken is published, attempts under way end, and only then the engine.

What there is once for all workers (the data directory, the engine, the admin listener) is not
here: see `single` and `supervisor`.
"""

import asyncio
import logging
import socket
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway import native, open_files
from gateway.admin.ledger import JournalSide
from gateway.app.delivery import DeliveryPart
from gateway.app.engine_gate import gate_to
from gateway.app.feed import FeedPart
from gateway.app.ingest import IngestPart
from gateway.app.part import Part, Shared
from gateway.app.role import Role, journals
from gateway.engine.access import access_of
from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.ingest.acceptance import Acceptance
from gateway.ingest.listener import Listener
from gateway.ingest.load_sharing import Loads
from gateway.journal.journal import Journal
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.open_files import FileRoom
from gateway.options import Config, JournalOptions
from gateway.readiness import Readiness
from gateway.store.restoring.known import KnownSubscribersFile
from gateway.store.restoring.restorer import Restorer
from gateway.store.taking.holders import Holder
from gateway.tasks import end, raise_failure

_log = logging.getLogger("gateway")
_MOMENT_S = 2.0


class Process:
    """The parts that `role` names, wired. Made by `open`, which leaves the closing to a stack."""

    def __init__(self, shared: Shared, role: Role, opened: Sequence[Journal]) -> None:
        self.metrics, self.engine = shared.metrics, shared.engine
        self.drain_s = shared.config.server.drain_s
        self._shared, self._role = shared, role
        self._ingest: IngestPart | None = None
        self._delivery: DeliveryPart | None = None
        self._feed: FeedPart | None = None
        self._listener: Listener | None = None
        holder = Holder(opened[0].id if opened else "")
        if opened:
            self._ingest = IngestPart(shared, opened, holder, with_sources="ingest" in role.parts)
        if "delivery" in role.parts:
            self._delivery = DeliveryPart(shared, holder, yields=not role.number)
        if self._ingest is not None and "feed" in role.parts:
            self._feed = FeedPart(shared, self._ingest.store, holder)
        self._gate = gate_to(shared.engine, shared.config.redis)
        self._readiness = Readiness(
            shared.engine,
            self._ingest.journal if self._ingest else None,
            self._ingest.publisher if self._ingest else None,
            shared.config.journal.max_bytes,
            self._gate,
            metrics=shared.metrics,
            yielding=self._delivery.yielding if self._delivery else None,
            tells=not role.number,
        )
        if self._ingest is not None:
            self._wire(self._ingest)

    def _wire(self, ingest: IngestPart) -> None:
        config = self._shared.config
        if self._delivery is not None:
            ingest.may_publish = self._delivery.joined
        else:
            ingest.may_publish = self._gate.passed
        ingest.may_own = self._gate.passed
        self._listener = Listener(
            config.server,
            config.ingest,
            acceptance=Acceptance(config.apps, config.ingest),
            intake=ingest.intake,
            metrics=self._shared.metrics,
            is_ready=self._readiness.takes_webhooks,
            keyring=native.keyring(config.apps),
            files=self._files(),
        )
        ingest.add_routes(self._listener.app)
        if self._feed is not None:
            self._feed.add_routes(self._listener.app)

    def _files(self) -> FileRoom:
        """Return how many files there are for connections; tell once where they are too few."""
        config = self._shared.config
        most = open_files.limit()
        open_files.kept.fill(open_files.kept_of(most))
        found = open_files.room(config, most, open_files.in_use())
        lacking = open_files.shortage(config, most, found.used)
        if lacking is not None and not self._role.number:
            log(_log, logging.WARNING, lacking)
        return found

    @property
    def _parts(self) -> list[Part]:
        """Those that there are, in the direction of the flow."""
        return [one for one in (self._ingest, self._delivery, self._feed) if one is not None]

    @classmethod
    async def open(
        cls,
        config: Config,
        role: Role,
        redis_url: str,
        stack: AsyncExitStack,
        *,
        listening: socket.socket | None = None,
        loads: Loads | None = None,
    ) -> "Process":
        """Open journals, engine and public port, in this order. Raises `GatewayError`.

        `listening`: a socket to accept from, instead of opening the configured port; `loads`: so
        do others.
        """
        metrics = Metrics()
        # The bound is the gateway's: each worker has its share.
        options = replace(config.journal, max_bytes=config.journal.max_bytes // role.workers)
        config = replace(config, journal=options)
        opened = []
        for folder in journals(config.data_dir, role):
            opened.append(_journal(folder, options, metrics))
            stack.callback(opened[-1].close)
        access = access_of(config.redis)
        engine = Engine(redis_url, timeout_s=config.redis.timeout_s, access=access)
        stack.push_async_callback(engine.close)
        served = [one.name for one in config.subscribers if one.enabled]
        restorer = Restorer(engine, KnownSubscribersFile(config.data_dir, role.number), served)
        process = cls(Shared(config, engine, metrics, restorer), role, opened)
        for part in process._parts:
            stack.push_async_callback(part.close)
        await process._listen(listening, loads, stack)
        return process

    async def _listen(
        self, listening: socket.socket | None, loads: Loads | None, stack: AsyncExitStack
    ) -> None:
        if self._listener is None:
            return
        server = self._shared.config.server
        try:
            if listening is not None and loads is not None:
                await self._listener.share(listening, loads, self._role.number)
            else:
                await self._listener.start(listening)
        except OSError as error:
            raise GatewayError(
                f"cannot open the public port on {server.host}:{server.port}:"
                f" {error.strerror or error}"
            ) from error
        stack.push_async_callback(self._listener.drain, 0)

    @property
    def port(self) -> int | None:
        """The public port, None when this process has none."""
        return self._listener.port if self._listener is not None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Run every loop until `stop`, then drain. A loop that breaks ends the process."""
        loops = {asyncio.create_task(loop, name=name) for name, loop in self._loops().items()}
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({stopped, *loops}, return_when=asyncio.FIRST_COMPLETED)
            if stopped in done:
                await self._drain(self.drain_s)
            for task in done - {stopped}:
                raise_failure(task)
        finally:
            await end((stopped, *loops))

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        loops = {"readiness": self._readiness.run(), "gate": self._gate.run()}
        if self._delivery is None:  # which looks by itself
            loops["known subscribers"] = self._when_ours(self._shared.restorer.run())
        for part in self._parts:
            for name, loop in part.loops().items():
                # What takes events waits for no engine; its publishing does, by `may_publish`.
                loops[name] = loop if part is self._ingest else self._when_ours(loop)
        return loops

    async def _when_ours(self, loop: Coroutine[Any, Any, None]) -> None:
        """Run `loop` once the engine may be used and it is settled who we are there."""
        try:
            await self._gate.passed.wait()
            if self._ingest is not None:
                await self._ingest.owned.wait()
        except BaseException:
            loop.close()  # it never began
            raise
        await loop

    async def _drain(self, timeout_s: float) -> None:
        pending = self._ingest.intake.pending if self._ingest else 0
        log(_log, logging.INFO, "stopping: no new connections", pending=pending)
        self._readiness.is_draining = True
        ends_at = asyncio.get_running_loop().time() + timeout_s

        def left_s() -> float:  # one time for all steps; a moment for each, whatever hung before
            left = ends_at - asyncio.get_running_loop().time()
            return max(left, min(timeout_s, _MOMENT_S))

        await asyncio.gather(*(part.take_no_more(timeout_s) for part in self._parts))
        if self._listener is not None:
            await self._listener.drain(left_s())
        for part in self._parts:
            await part.finish(left_s())
        left = self._ingest.left() if self._ingest is not None else 0
        log(_log, logging.INFO, "stopped", left_in_journal=left)

    # ---- what it says of itself

    def reasons(self) -> list[str]:
        """Return what is not well, in words; empty when all is."""
        return self._readiness.reasons()

    def warnings(self) -> list[str]:
        """Return what an operator has to know that is no reason against us."""
        return self._readiness.warnings()

    def sides(self) -> list[JournalSide]:
        """Return what each journal here has written, and what of it waits."""
        return self._ingest.sides() if self._ingest else []


def _journal(folder: Path, options: JournalOptions, metrics: Metrics) -> Journal:
    try:
        return Journal(folder, options, metrics)
    except OSError as error:
        raise GatewayError(
            f"cannot open the journal in {folder}: {error.strerror or error}"
        ) from error
