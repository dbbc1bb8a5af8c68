"""One process: its ports, its parts, its beginning and its end.

Order matters twice. At the start the public port opens first: the journal takes webhooks however
long Redis needs. At the end things stop in the direction of the flow: no new webhooks, what was
taken is published, attempts under way end, and only then the engine.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

from gateway import native
from gateway.admin.ledger import compose
from gateway.admin.server import AdminServer
from gateway.app.delivery import DeliveryPart
from gateway.app.feed import FeedPart
from gateway.app.ingest import IngestPart
from gateway.app.part import Part
from gateway.app.shared import Shared
from gateway.embedded.engine import EmbeddedEngine
from gateway.embedded.locks import Lock
from gateway.errors import GatewayError
from gateway.ingest.acceptance import Acceptance
from gateway.ingest.listener import Listener
from gateway.journal.journal import Journal
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.readiness import Readiness
from gateway.stream.access import access_of
from gateway.stream.connection import Engine
from gateway.tasks import end

_log = logging.getLogger("gateway")
_LOCK_PATIENCE_S = 5.0
_EMBEDDED_START_S = 1.0


class Ports(NamedTuple):
    """What is open."""

    public_port: int
    admin_port: int


async def run(config: Config, *, on_ready: Callable[[Ports], None] = lambda _: None) -> None:
    """Run the gateway until SIGTERM or SIGINT; then drain and return.

    Raises `GatewayError` when it cannot start or cannot go on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        process = await Process.open(config, stack)
        on_ready(process.ports)
        if process.embedded is not None:
            # Webhooks are taken already; the loops need not begin with a complaint.
            await process.embedded.wait_ready(_EMBEDDED_START_S)
        await process.run(stop)


class Process:
    """All parts of one process, wired. Made by `open`, which leaves the closing to a stack."""

    def __init__(self, shared: Shared, journal: Journal) -> None:
        config = shared.config
        self.embedded: EmbeddedEngine | None = None
        self._shared = shared
        self._ingest = IngestPart(shared, journal)
        # The holder's name is the journal's: after a crash it takes its own leases back at once.
        self._delivery = DeliveryPart(shared, holder=journal.id)
        self._feed = FeedPart(shared, self._ingest.store, holder=journal.id)
        self._ingest.may_publish = self._delivery.joined
        # In the direction of the flow.
        self._parts: list[Part] = [self._ingest, self._delivery, self._feed]
        self._readiness = Readiness(
            shared.engine, journal, self._ingest.publisher, config.journal.max_bytes
        )
        self._listener = Listener(
            config.server,
            config.ingest,
            acceptance=Acceptance(config.apps, config.ingest),
            intake=self._ingest.intake,
            metrics=shared.metrics,
            is_ready=self._readiness.takes_webhooks,
            keyring=native.keyring(config.apps),
        )
        self._ingest.add_routes(self._listener.app)
        self._feed.add_routes(self._listener.app)
        self._admin = AdminServer(
            config.admin, shared.metrics, readiness=self._readiness.reasons, ledger=self._ledger
        )

    @classmethod
    async def open(cls, config: Config, stack: AsyncExitStack) -> "Process":
        """Open journal, listeners and engine, in this order. Raises `GatewayError`."""
        metrics = Metrics()
        await stack.enter_async_context(_only_owner(config))
        journal = Journal(config.data_dir / "journal" / "0", config.journal, metrics)
        stack.callback(journal.close)
        embedded = await _embedded(config, stack)
        url = config.redis.url if embedded is None else embedded.url
        access = access_of(config.redis)
        engine = Engine(url, timeout_s=config.redis.timeout_s, access=access)
        stack.push_async_callback(engine.close)
        process = cls(Shared(config, engine, metrics), journal)
        process.embedded = embedded
        for part in process._parts:
            stack.push_async_callback(part.close)
        await process._admin.start()
        stack.push_async_callback(process._admin.stop)
        await process._listen()
        stack.push_async_callback(process._listener.drain, 0)
        return process

    async def _listen(self) -> None:
        server = self._shared.config.server
        try:
            await self._listener.start()
        except OSError as error:
            raise GatewayError(
                f"cannot open the public port on {server.host}:{server.port}:"
                f" {error.strerror or error}"
            ) from error

    @property
    def ports(self) -> Ports:
        return Ports(self._listener.port, self._admin.port)

    async def run(self, stop: asyncio.Event) -> None:
        """Run every loop until `stop`, then drain. A loop that breaks ends the process."""
        loops = {asyncio.create_task(loop, name=name) for name, loop in self._loops().items()}
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({stopped, *loops}, return_when=asyncio.FIRST_COMPLETED)
            if stopped in done:
                await self._drain(self._shared.config.server.drain_s)
            for task in done - {stopped}:
                _raise_failure(task)
        finally:
            await end((stopped, *loops))

    def _loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        loops = {"readiness": self._readiness.run()}
        for part in self._parts:
            loops.update(part.loops())
        return loops

    async def _drain(self, timeout_s: float) -> None:
        pending = self._ingest.intake.pending
        log(_log, logging.INFO, "stopping: no new connections", pending=pending)
        self._readiness.is_draining = True
        for part in self._parts:
            await part.take_no_more(timeout_s)
        await self._listener.drain(timeout_s)
        for part in self._parts:
            await part.finish(timeout_s)
        log(_log, logging.INFO, "stopped", left_in_journal=self._ingest.publisher.waiting)

    async def _ledger(self) -> dict[str, Any]:
        return await compose(self._shared.engine, self._ingest.side)


@asynccontextmanager
async def _only_owner(config: Config) -> AsyncIterator[None]:
    """Hold the data directory: two journals in one folder would tear each other's records."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = Lock(config.data_dir / "gateway.lock")
    try:
        if not await lock.take_within(_LOCK_PATIENCE_S):
            raise GatewayError(f"another gateway runs in {config.data_dir}: give each its data_dir")
        yield
    finally:
        lock.close()


async def _embedded(config: Config, stack: AsyncExitStack) -> EmbeddedEngine | None:
    if config.redis.url != "embedded":
        return None
    embedded = EmbeddedEngine(config.data_dir, max_memory_bytes=config.redis.max_memory_bytes)
    await embedded.start()
    stack.push_async_callback(embedded.stop)
    return embedded


def _raise_failure(task: asyncio.Task[Any]) -> None:
    error = task.exception()
    if error is not None:
        raise error
    raise GatewayError(f"the {task.get_name()} has ended by itself")
