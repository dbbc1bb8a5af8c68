"""Attempts: hands deliveries to the subscriber and decides what each outcome means.

A bounded number of runners, started when there is something to do and gone when there is not;
a wait of the fast lane occupies none of them.
"""

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from random import random
from typing import Literal, cast

from gateway.clock import now_ms
from gateway.delivery.claim import Delivery
from gateway.delivery.lanes import History, Park, RetryIn
from gateway.delivery.sequencer import Sequencer
from gateway.delivery.settlement import Bury, settle
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import RetryOptions
from gateway.subscribers.contract import Attempt, Subscriber
from gateway.subscribers.outcome import Delivered, Failed, Outcome, Reason
from gateway.tasks import end

_logger = logging.getLogger(__name__)
TURNS = 16  # attempts that a runner makes before it lets others have the loop


class Attempts:
    """Of one subscriber. `decided` is called after every decision, `gone` to pause it."""

    def __init__(
        self,
        name: str,
        subscriber: Subscriber,
        *,
        retry: RetryOptions,
        on_410: Literal["bury", "pause"],
        concurrency: int,
        sequencer: Sequencer,
        metrics: Metrics,
        decided: Callable[[], None],
        gone: Callable[[], None],
    ) -> None:
        self._name = name
        self._subscriber = subscriber
        self._retry = retry
        self._on_410: Literal["bury", "pause"] = on_410
        self._concurrency = concurrency
        self._sequencer = sequencer
        self._counts = metrics.attempts
        self._delivered_label = (name, "delivered")
        self._counts.values.setdefault(self._delivered_label, 0)
        self._decided = decided
        self._gone = gone
        self._seldom = Seldom()
        self._runners: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        return len(self._runners)

    def pump(self) -> None:
        """Start as many runners as there is work and room for."""
        for _ in range(min(len(self._sequencer), self._concurrency - len(self._runners))):
            runner = asyncio.create_task(self._run())
            self._runners.add(runner)

    async def finish(self, timeout_s: float) -> None:
        """Wait for attempts under way, then cut off what is left."""
        runners = tuple(self._runners)
        if not runners:
            return
        _, late = await asyncio.wait(runners, timeout=timeout_s)
        await end(late)

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            # Not in a callback, which runs later: `pump` would count a runner that is done.
            self._runners.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _work(self) -> None:
        turns = 0
        while (delivery := self._sequencer.next(time.monotonic())) is not None:
            try:
                outcome = await self._subscriber.attempt(_begun(delivery))
            except Exception as defect:
                outcome = self._defect(defect)
            finally:
                self._sequencer.ended(delivery)
            if not delivery.lease.lost:
                self._conclude(delivery, outcome)
            turns += 1
            if turns % TURNS == 0:
                await asyncio.sleep(0)

    def _defect(self, defect: Exception) -> Failed:
        """Tell of a subscriber that raised. It must not stop the deliveries of everything else."""
        place = traceback.extract_tb(defect.__traceback__)[-1]
        # Without its text, which may quote what no log should have.
        self._seldom.log(
            "defect",
            _logger,
            "a subscriber failed in a way that it must not",
            subscriber=self._name,
            defect=type(defect).__name__,
            place=f"{place.filename}:{place.lineno}",
        )
        return Failed(Reason.NETWORK, detail=f"defect: {type(defect).__name__}")

    def _conclude(self, delivery: Delivery, outcome: Outcome) -> None:
        if isinstance(outcome, Delivered):
            self._counts.values[self._delivered_label] += 1
            delivery.claim.delivered(delivery)
            self._sequencer.release(delivery)
        else:
            self._counts.add(self._name, outcome.reason.value)
            self._after_failure(delivery, outcome)
        self._decided()

    def _after_failure(self, delivery: Delivery, failed: Failed) -> None:
        history = History(delivery.attempts, delivery.first_attempt_ms, delivery.slow_attempts)
        decision = settle(failed, history, self._retry, now_ms(), random(), on_410=self._on_410)  # noqa: S311
        match decision:
            case RetryIn(wait_s, timeout_s):
                delivery.timeout_s = timeout_s
                asyncio.get_running_loop().call_later(wait_s, self._again, delivery)
            case Park(due_ms, pauses):
                delivery.claim.parked(delivery, due_ms, failed)
                if pauses:
                    self._gone()
            case Bury(reason):
                delivery.claim.buried(delivery, now_ms(), reason.value, failed)
            case Delivered():
                raise AssertionError("a failure was settled as delivered")

    def _again(self, delivery: Delivery) -> None:
        if not delivery.lease.lost:
            self._sequencer.again(delivery)
            self.pump()


def _begun(delivery: Delivery) -> Attempt:
    """Count the attempt that begins now, and return it."""
    delivery.attempts += 1
    delivery.slow_attempts += delivery.late
    if not delivery.first_attempt_ms:
        delivery.first_attempt_ms = now_ms()
    is_late = delivery.late or delivery.meta.again
    return Attempt(delivery.meta, delivery.body, delivery.attempts, delivery.timeout_s, is_late)
