"""The delivery path as a whole: a worker for each subscriber, one doorbell for all.

Subscribers that Redis knows and the configuration does not are reported at the start, and their
backlog is kept within its bound until they are forgotten on command.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from gateway.delivery.sharing import share_among
from gateway.delivery.triage import Wants
from gateway.delivery.worker import Worker
from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.event import Meta
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.options import SubscriberOptions
from gateway.store import keys
from gateway.store.format import check_format
from gateway.store.restoring.restorer import Restorer
from gateway.store.taking.doorbell import Doorbell
from gateway.store.taking.holders import Holder, Holders, Present
from gateway.store.taking.subscriptions import Subscription
from gateway.store.upkeep.ledger import read_account
from gateway.subscribers.contract import Subscriber
from gateway.tasks import end

_logger = logging.getLogger(__name__)
POLL_S = 1.0
SETTLE_S = 1.0  # granted to the last round, however long attempts took
RELEASE_S = 1.0


class Served(NamedTuple):
    """A configured subscriber; `subscriber` None: it is switched off."""

    options: SubscriberOptions
    subscriber: Subscriber | None
    matcher: Wants


class Everything:
    """Matches every event."""

    wants_all = True

    def wants(self, meta: Meta, body: bytes) -> bool:  # noqa: ARG002
        return True


class DeliveryService:
    """Delivers to all subscribers. Whoever built the subscribers closes them.

    `holder`: this process, in leases. With a journal, it has the leases of the one before it back
    at once after a crash; without one, they have to expire. `poll_s`: how often to see who else
    delivers, and who is paused. `restorer` knows who has been there before; without one,
    nobody is known.
    """

    def __init__(
        self,
        engine: Engine,
        served: Sequence[Served],
        metrics: Metrics,
        *,
        holder: Holder | None = None,
        ttl_s: float = 10.0,
        poll_s: float = POLL_S,
        restorer: Restorer | None = None,
    ) -> None:
        self._engine = engine
        self._served = served
        self._metrics = metrics
        self._holder = holder or Holder()
        self._ttl_s = ttl_s
        self._restorer = restorer or Restorer(engine)
        # Gone from there before its leases expire, a crashed process is not waited for.
        self._serves = frozenset(one.options.name for one in served if one.subscriber is not None)
        self._holders = Holders(engine, self._holder, ttl_s / 2, self._serves)
        self._poll_s = min(poll_s, ttl_s / 10)
        self._present: Present = {}
        self._doorbell = Doorbell(engine)
        self._workers: dict[str, tuple[Worker, asyncio.Task[None]]] = {}
        self._seldom = Seldom()
        self._stop = asyncio.Event()
        # Set once every subscriber has its groups. What is published before is not for those
        # that start from now, so nothing should be.
        self.joined = asyncio.Event()

    async def run(self) -> None:
        """Deliver until drained or cancelled. Raises `EngineRefused` for a foreign format."""
        bell = asyncio.create_task(self._doorbell.run())
        try:
            await self._prepare()
            while not self._stop.is_set():
                await self._poll()
                _raise_failures(bell, *self._tasks())
                await self._rest()
            if tasks := tuple(self._tasks()):
                await asyncio.wait(tasks)
                _raise_failures(*tasks)
        finally:
            await end((bell, *self._tasks()))

    async def drain(self, timeout_s: float) -> None:
        """Take and start nothing more, let attempts under way end, settle, release the leases.

        What is then still unsettled stays pending for the next holder.
        """
        self._stop.set()
        deadline = time.monotonic() + timeout_s
        workers = [worker for worker, _ in self._workers.values()]
        await asyncio.gather(*(worker.stop(timeout_s) for worker in workers))
        if tasks := tuple(self._tasks()):
            left_s = max(SETTLE_S, deadline - time.monotonic())
            _, unsettled = await asyncio.wait(tasks, timeout=left_s)
            await end(unsettled)
        release_s = max(RELEASE_S, deadline - time.monotonic())
        try:
            async with asyncio.timeout(release_s):
                for worker in workers:
                    await worker.release()
                await self._holders.leave()
        except (EngineUnavailable, TimeoutError) as error:
            log(
                _logger,
                logging.WARNING,
                "leases not released: they will expire",
                reason=str(error) or f"no answer within {release_s:.0f} s",
            )

    async def _rest(self) -> None:
        """Wait until it is time to look again; notice at once that all have joined."""
        until = time.monotonic() + self._poll_s
        while not self._stop.is_set() and (left_s := until - time.monotonic()) > 0:
            if all(worker.joined for worker, _ in self._workers.values()):
                self.joined.set()
            await self._stopped_within(left_s if self.joined.is_set() else min(left_s, 0.01))

    async def _stopped_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    def _tasks(self) -> Iterator[asyncio.Task[None]]:
        return (task for _, task in self._workers.values())

    async def _prepare(self) -> None:
        """Find out who is known already, and start the workers; wait for Redis."""
        known: Mapping[str, Subscription] = {}
        while not self._stop.is_set():
            try:
                await check_format(self._engine)
                # Before others see that there is a new subscriber: who delivers to it.
                self._present = await self._holders.present()
                known = await self._restorer.look()
                break
            except EngineUnavailable as error:
                self._seldom.log("away", _logger, "waiting for Redis", reason=str(error))
                await self._stopped_within(0.2)
        if self._stop.is_set():
            return  # drained before it began
        for each in self._served:
            self._start_worker(each, known.get(each.options.name))

    def _start_worker(self, served: Served, known: Subscription | None) -> None:
        worker = Worker(
            served.options,
            served.subscriber,
            served.matcher,
            engine=self._engine,
            doorbell=self._doorbell,
            restorer=self._restorer,
            metrics=self._metrics,
            holder=self._holder,
            ttl_s=self._ttl_s,
            workers=len(self._serves),
            is_known=known is not None and known.state != "forgetting",
        )
        worker.pause(paused=known is not None and known.state != "active")
        self._share_out(worker)
        self._workers[worker.name] = worker, asyncio.create_task(worker.run())

    async def _poll(self) -> None:
        """See who else delivers, and who is paused, forgotten, or no longer configured."""
        try:
            self._present = await self._holders.present()
            known = await self._restorer.look()
            for name in known.keys() - self._workers.keys():
                await self._keep(name, known[name])
        except (EngineUnavailable, EngineRefused) as error:
            self._seldom.log("poll", _logger, "cannot read subscribers", reason=str(error))
            return
        configured = {each.options.name for each in self._served}
        for name, (worker, task) in list(self._workers.items()):
            self._share_out(worker)
            if name in known:
                worker.pause(paused=known[name].state != "active")
            elif name not in configured:
                task.cancel()
                del self._workers[name]

    def _share_out(self, worker: Worker) -> None:
        name, me = worker.name, self._holder.presence
        worker.share_out(
            share_among(name, me, self._present, range(keys.SHARDS), serves=name in self._serves)
        )

    async def _keep(self, name: str, known: Subscription) -> None:
        if known.state == "forgetting":
            return
        if any(name in names for names in self._present.values()):
            log(
                _logger,
                logging.WARNING,
                "a subscriber of another gateway is not configured here:"
                " that one alone delivers to it",
                subscriber=name,
            )
        else:
            account = await read_account(self._engine, name)
            log(
                _logger,
                logging.WARNING,
                "a subscriber is not configured any more; forget it on"
                " command, or its backlog is kept",
                subscriber=name,
                unread=account.unread,
                parked=account.parked,
                buried=account.buried,
            )
        options = SubscriberOptions(name=name, kind="log")
        self._start_worker(Served(options, None, Everything()), known)


def _raise_failures(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        if task.done() and not task.cancelled():
            task.result()
