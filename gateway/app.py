"""The composition root: builds every part, opens the port, runs the loops, drains on stop.

Order matters twice. At the start the public port opens first: the journal takes webhooks however
long Redis needs. At the end things stop in the direction of the flow: no new webhooks, what was
taken is published, attempts under way end, and only then the engine.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, NamedTuple

from gateway import native
from gateway.admin.ledger import compose
from gateway.admin.server import AdminServer
from gateway.delivery.matching import Matcher
from gateway.delivery.service import DeliveryService, Served
from gateway.embedded.engine import EmbeddedEngine
from gateway.embedded.locks import Lock
from gateway.errors import GatewayError, StreamUnavailable
from gateway.ingest.acceptance import Acceptance
from gateway.ingest.intake import Intake
from gateway.ingest.listener import Listener
from gateway.journal.journal import Journal
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.readiness import Readiness
from gateway.sources.run import Sources
from gateway.stream.connection import Engine, tls_arguments
from gateway.stream.durability import check_durability
from gateway.stream.publisher import Publisher
from gateway.stream.retention import Janitor
from gateway.subscribers import kinds
from gateway.tasks import end

_log = logging.getLogger("gateway")
_LOCK_PATIENCE_S = 5.0
_PUBLISH_REST_S = 5.0
_LONGEST_PUBLISH_S = 2.0
_EMBEDDED_START_S = 1.0
_REDIS_POLL_S = 0.2


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
        gateway = await Gateway.open(config, stack)
        on_ready(gateway.ports)
        if gateway.embedded is not None:
            # Webhooks are taken already; the loops need not begin with a complaint.
            await gateway.embedded.wait_ready(_EMBEDDED_START_S)
        await gateway.run(stop)


class Gateway:
    """All parts of one process, wired. Made by `open`, which leaves the closing to a stack."""

    def __init__(self, config: Config, engine: Engine, journal: Journal, metrics: Metrics) -> None:
        self.embedded: EmbeddedEngine | None = None
        self._config, self._engine, self._journal = config, engine, journal
        self._seldom = Seldom()
        self._publisher = Publisher(
            engine.url,
            journal,
            metrics,
            window_s=config.ingest.dedupe_window_s,
            # An ack may wait for it: never longer than Stream waits for us.
            timeout_s=min(config.redis.timeout_s, _LONGEST_PUBLISH_S),
            # Bigger batches are cheaper, unless every ack waits for its batch.
            linger_s=0.001 if config.ingest.ack == "journal" else 0,
            tls=tls_arguments(config.redis),
        )
        self._intake = Intake(journal, self._publisher, config.ingest.ack, metrics)
        self._readiness = Readiness(engine, journal, self._publisher, config.journal.max_bytes)
        self._listener = Listener(
            config.server,
            config.ingest,
            acceptance=Acceptance(config.apps, config.ingest),
            intake=self._intake,
            metrics=metrics,
            is_ready=self._readiness.takes_webhooks,
            keyring=native.keyring(config.apps),
        )
        self._sources = Sources(
            config, intake=self._intake, metrics=metrics, routes=self._listener.app
        )
        self._admin = AdminServer(
            config.admin, metrics, readiness=self._readiness.reasons, ledger=self._ledger
        )
        self._served = [
            Served(
                one,
                kinds.build(one, config.apps) if one.enabled else None,
                Matcher(one.match, partial(metrics.match_errors.add, one.name)),
            )
            for one in config.subscribers
        ]
        # The holder's name is the journal's: after a crash it takes its own leases back at once.
        self._delivery = DeliveryService(engine, self._served, metrics, holder=journal.id)
        self._janitor = Janitor(engine, config.retention)
        metrics.journal_waiting.track(read=lambda: self._publisher.waiting or 0)

    @classmethod
    async def open(cls, config: Config, stack: AsyncExitStack) -> "Gateway":
        """Open journal, listeners and engine, in this order. Raises `GatewayError`."""
        metrics = Metrics()
        await stack.enter_async_context(_only_owner(config))
        journal = Journal(config.data_dir / "journal" / "0", config.journal, metrics)
        stack.callback(journal.close)
        embedded = await _embedded(config, stack)
        url = config.redis.url if embedded is None else embedded.url
        tls = tls_arguments(config.redis)
        engine = Engine(url, timeout_s=config.redis.timeout_s, tls=tls)
        stack.push_async_callback(engine.close)
        gateway = cls(config, engine, journal, metrics)
        gateway.embedded = embedded
        stack.push_async_callback(gateway._close_subscribers)
        stack.push_async_callback(gateway._sources.close)
        await gateway._admin.start()
        stack.push_async_callback(gateway._admin.stop)
        await gateway._listen()
        stack.push_async_callback(gateway._listener.drain, 0)
        return gateway

    async def _listen(self) -> None:
        server = self._config.server
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
        loops = {
            asyncio.create_task(self._deliver(), name="delivery"),
            asyncio.create_task(self._publish(), name="publisher"),
            asyncio.create_task(self._sources.run(), name="sources"),
            asyncio.create_task(self._janitor.run(), name="janitor"),
            asyncio.create_task(self._readiness.run(), name="readiness"),
        }
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait({stopped, *loops}, return_when=asyncio.FIRST_COMPLETED)
            if stopped in done:
                await self._drain()
            for task in done - {stopped}:
                _raise_failure(task)
        finally:
            await end((stopped, *loops))

    async def _deliver(self) -> None:
        """Deliver from an engine that keeps events. Raises `StreamRefused` for any other."""
        while True:
            try:
                allowed = self._config.redis.allow_volatile
                await check_durability(self._engine, allow_volatile=allowed)
                break
            except StreamUnavailable as error:
                self._seldom.log("away", _log, "waiting for Redis", reason=str(error))
                await asyncio.sleep(_REDIS_POLL_S)
        await self._delivery.run()

    async def _publish(self) -> None:
        """Publish once every subscriber has its groups: one that starts from now misses none."""
        await self._delivery.joined.wait()
        await self._publisher.run()

    async def _drain(self) -> None:
        log(_log, logging.INFO, "stopping: no new connections", pending=self._intake.pending)
        self._readiness.is_draining = True
        # Before the listener, whose timer still ends the waiting for acknowledgements.
        await self._sources.drain(self._config.server.drain_s)
        await self._listener.drain(self._config.server.drain_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PUBLISH_REST_S):
                await self._published()
        await self._delivery.drain(self._config.server.drain_s)
        log(_log, logging.INFO, "stopped", left_in_journal=self._publisher.waiting)

    async def _published(self) -> None:
        while self._publisher.is_up and self._publisher.waiting:  # noqa: ASYNC110  # two conditions
            await asyncio.sleep(0.01)

    async def _ledger(self) -> dict[str, Any]:
        return await compose(self._engine, self._intake_side)

    def _intake_side(self) -> dict[str, int]:
        """Return what was accepted, here and before, and what of it still lies in the journal."""
        waiting = self._publisher.waiting
        damaged = self._publisher.damaged
        accepted = (
            self._journal.next_number - 1 - damaged
            + self._publisher.outlived + self._publisher.taken_elsewhere
        )  # fmt: skip
        return {
            "accepted": accepted,
            "in_journal": accepted if waiting is None else waiting,
            "damaged": damaged,
            "outlived": self._publisher.outlived,
        }

    async def _close_subscribers(self) -> None:
        for one in self._served:
            if one.subscriber is not None:
                await one.subscriber.close()


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
