"""A worker: everything that is done for one subscriber, over all shards.

One loop talks to Redis (`rounds`, `leases`), runners talk to the subscriber (`attempts`),
`sequencer` decides who is next, `triage` what an event that was read is for. A worker without a
subscriber serves none: it only keeps the backlog of one that has left the configuration, or is
switched off, within its bound.
"""

import asyncio
import logging
import time

from gateway.delivery.attempts import Attempts
from gateway.delivery.claim import Claim
from gateway.delivery.lanes import first_timeout_s
from gateway.delivery.leases import Leases
from gateway.delivery.rounds import Rounds
from gateway.delivery.sequencer import Sequencer
from gateway.delivery.triage import Triage, Wants
from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable, GatewayError
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.options import SubscriberOptions
from gateway.store import keys
from gateway.store.restoring.restorer import Restorer
from gateway.store.taking.consumer_group import Group
from gateway.store.taking.doorbell import BellWaiter, Doorbell
from gateway.store.taking.holders import Holder
from gateway.store.taking.subscriptions import Subscriptions
from gateway.subscribers.contract import Subscriber

_logger = logging.getLogger(__name__)
LINGER_S = 0.008  # outcomes wait this long for company
CROWD = 512  # or until they are so many
BACK_OFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Worker:
    """Serves one subscriber until stopped, as one of `workers` of this process.

    `is_known`: it has been there before, so that a group that it lacks was lost.
    """

    def __init__(
        self,
        options: SubscriberOptions,
        subscriber: Subscriber | None,
        matcher: Wants,
        *,
        engine: Engine,
        doorbell: Doorbell,
        restorer: Restorer,
        metrics: Metrics,
        holder: Holder,
        ttl_s: float = 10.0,
        workers: int = 1,
        is_known: bool = False,
    ) -> None:
        self.name = options.name
        self._start = options.start
        self._restorer = restorer
        self._subscriptions = Subscriptions(engine)
        self._is_registered = False  # it has its groups, and everybody knows
        self._bell = asyncio.Event()
        self._waiter = BellWaiter(self._bell)
        self._outcomes = 0  # decided since the last round
        self._seldom = Seldom()
        self._tasks: set[asyncio.Task[None]] = set()
        sequencer = Sequencer(options.order, options.concurrency)
        claims = [Claim(Group(shard, self.name)) for shard in range(keys.SHARDS)]
        self._triage = Triage(
            options,
            matcher,
            sequencer,
            metrics,
            claims=claims,
            serves=subscriber is not None,
            decided=self._decided,
        )
        self._attempts = (
            None
            if subscriber is None
            else Attempts(
                self.name,
                subscriber,
                retry=options.retry,
                on_410=options.http.on_410 if options.http else "bury",
                concurrency=options.concurrency,
                sequencer=sequencer,
                metrics=metrics,
                decided=self._decided,
                gone=self._gone,
            )
        )
        start = "earliest" if is_known else options.start
        self._leases = Leases(
            self.name,
            self._triage,
            claims,
            doorbell=doorbell,
            waiter=self._waiter,
            holder=holder,
            start=start if subscriber is not None else None,
            ttl_s=ttl_s,
        )
        self._rounds = Rounds(
            engine,
            self.name,
            self._leases,
            self._triage,
            doorbell=doorbell,
            waiter=self._waiter,
            hide_s=3 * first_timeout_s("slow", options.retry) + 10,
            workers=workers,
        )

    @property
    def joined(self) -> bool:
        """Whether every shard has a group for it (true for one that is not served)."""
        return self._attempts is None or self._is_registered

    def pause(self, *, paused: bool) -> None:
        """Start nothing more, or go on."""
        if paused != self._triage.paused:
            self._triage.paused = paused
            self._bell.set()

    def share_out(self, shards: frozenset[int]) -> None:
        """Know which shards are ours; those of others are given up as soon as can be."""
        self._leases.share_out(shards)
        self._bell.set()

    async def run(self) -> None:
        """Work until `stop` has drained it, or cancelled."""
        failures = 0
        while not (self._triage.stopping and self._is_drained()):
            await self._wait()
            try:
                await self._round()
                failures = 0
            except GatewayError as error:
                self._seldom.log(
                    "round",
                    _logger,
                    "deliveries wait for Redis",
                    subscriber=self.name,
                    reason=str(error),
                )
                failures += 1
                await asyncio.sleep(BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1])
            self._pump()

    async def stop(self, timeout_s: float) -> None:
        """Start nothing more; give attempts under way `timeout_s` to end. `run` then returns."""
        self._triage.stopping = True
        if self._attempts is not None:
            await self._attempts.finish(timeout_s)
        self._bell.set()

    async def release(self) -> None:
        """Give the leases back, so that the next holder need not wait until they expire."""
        await self._rounds.release()

    async def _wait(self) -> None:
        now = time.monotonic()
        wait_s = self._rounds.next_deadline(now) - now
        if wait_s > 0:
            alarm = asyncio.get_running_loop().call_later(wait_s, self._bell.set)
            await self._bell.wait()
            alarm.cancel()
        self._bell.clear()
        self._outcomes = 0
        for shard in self._waiter.rung:
            self._leases.claims[shard].look = True
        self._waiter.rung.clear()

    async def _round(self) -> None:
        if self._leases.vanished:
            self._is_registered = False
            self._leases.join_again(await self._restorer.start(self.name, self._start))
        await self._rounds.round()
        if not self.joined and all(claim.joined for claim in self._leases.claims):
            self._bell.set()  # come again at once, should this fail
            await self._restorer.register(self.name)
            self._is_registered = True

    def _is_drained(self) -> bool:
        running = self._attempts.running if self._attempts else 0
        unsettled = any(claim.has_outcomes or claim.sent for claim in self._leases.claims)
        return not running and not unsettled

    def _pump(self) -> None:
        if self._attempts is not None and self._triage.open:
            self._attempts.pump()

    def _decided(self) -> None:
        self._outcomes += 1
        if self._outcomes == CROWD:
            self._bell.set()
        elif self._outcomes == 1:
            asyncio.get_running_loop().call_later(LINGER_S, self._bell.set)

    def _gone(self) -> None:
        log(_logger, logging.WARNING, "subscriber answered 410: paused", subscriber=self.name)
        self.pause(paused=True)
        task = asyncio.create_task(self._record_pause())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _record_pause(self) -> None:
        while True:
            try:
                await self._subscriptions.pause(self.name)
            except EngineUnavailable:
                await asyncio.sleep(BACK_OFF_S[-1])
            else:
                return
