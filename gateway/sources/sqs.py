"""A queue as a source: receivers that take messages by long polling, and delete what is safe.

A message is deleted only after its event has been acknowledged as a webhook would be. Until then
it is kept invisible, and offered to the intake again and again: while the journal is full or
Redis away no message comes back to the queue, whose redrive policy would count that against it.
A receiver takes no more before what it has is safe, so what waits here is bounded.

Messages of one receive go to the intake in their order within one tick, where they share one
fate. SQS gives no more of a FIFO group while some of it are undeleted, so groups keep their
order.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from gateway.clock import now_ms
from gateway.ingest.intake import Intake
from gateway.metrics import Metrics
from gateway.options import SqsSourceOptions
from gateway.sources.decode import event_of
from gateway.sources.origin import Origin
from gateway.sources.received import Answers, ReceivedMessage
from gateway.sources.sqs_queue import Message, ReceiveFailed, SourceQueue
from gateway.tasks import end

_logger = logging.getLogger(__name__)
BACK_OFF_S = (0.1, 0.5, 2.0, 5.0, 15.0)
_LARGE_CHARACTERS = 64 << 10  # before decoding more than this at once, others have the loop


class Stop:
    """Tells receivers to take no more; a rest ends with it."""

    def __init__(self) -> None:
        self._set = asyncio.Event()

    @property
    def asked(self) -> bool:
        return self._set.is_set()

    def ask(self) -> None:
        self._set.set()

    async def rest(self, seconds: float) -> None:
        """Sleep, but no longer than until the stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._set.wait()

    async def back_off(self, failures: int) -> None:
        await self.rest(BACK_OFF_S[min(failures, len(BACK_OFF_S)) - 1])


class SqsSource:
    """One queue and its receivers. Make it inside the running loop; it owns `queue`."""

    def __init__(
        self,
        options: SqsSourceOptions,
        origin: Origin,
        queue: SourceQueue,
        intake: Intake,
        metrics: Metrics,
    ) -> None:
        self._options, self._origin, self._queue = options, origin, queue
        self._intake = intake
        self._counts, self._errors = metrics.source_messages, metrics.source_errors
        self._counts.values.setdefault((origin.name, "not_an_event"), 0)
        self._stop = Stop()
        self._receivers: set[asyncio.Task[None]] = set()
        self._polling: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Take messages until drained or cancelled."""
        tasks = [asyncio.create_task(self._receive()) for _ in range(self._options.receivers)]
        self._receivers.update(tasks)
        try:
            await asyncio.gather(*tasks)
        finally:
            await end(tasks)
            self._receivers.clear()

    async def drain(self, timeout_s: float) -> None:
        """Take nothing more; let what was taken become safe and be deleted."""
        self._stop.ask()
        for task in tuple(self._polling):
            task.cancel()
        if receivers := tuple(self._receivers):
            await asyncio.wait(receivers, timeout=timeout_s)

    async def close(self) -> None:
        """Drop the connections. What is not deleted comes again."""
        await self._queue.close()

    async def _receive(self) -> None:
        """Be one receiver."""
        failures = 0
        deletion: asyncio.Task[None] | None = None
        try:
            while not self._stop.asked:
                try:
                    messages = await self._poll()
                except ReceiveFailed:
                    failures += 1
                    await self._stop.back_off(failures)
                    continue
                failures = 0
                if messages and (stored := await self._take(messages)):
                    if deletion is not None:
                        await deletion
                    # Deleted while the next are received.
                    deletion = asyncio.create_task(self._queue.delete(stored, self._stop.rest))
            if deletion is not None:
                await deletion
        finally:
            if deletion is not None:
                await end((deletion,))

    async def _poll(self) -> list[Message]:
        """Return the next messages; none when the wait ends, or is broken off by the stop."""
        this = asyncio.current_task()
        assert this is not None, "it runs in a task"
        self._polling.add(this)
        try:
            return await self._queue.receive()
        except asyncio.CancelledError:
            if not self._stop.asked:
                raise
            return []
        finally:
            self._polling.discard(this)

    async def _take(self, messages: Sequence[Message]) -> list[str]:
        """Return the receipts of what is stored: of all, unless we stop before."""
        receipts = [receipt for receipt, _ in messages]
        keeping: set[asyncio.Task[None]] = set()  # a task only for those that take long
        alarm = asyncio.get_running_loop().call_later(
            self._options.visibility_timeout_s / 3,
            lambda: keeping.add(asyncio.create_task(self._keep(receipts))),
        )
        try:
            taken = [one for message in messages if (one := await self._judge(message))]
            await self._store(taken)
        finally:
            alarm.cancel()
            await end(keeping)
        return [one.receipt for one in taken if one.stored]

    async def _keep(self, receipts: Sequence[str]) -> None:
        """Keep messages invisible until cancelled."""
        while True:
            await self._queue.extend(receipts)
            await asyncio.sleep(self._options.visibility_timeout_s / 3)

    async def _judge(self, message: Message) -> ReceivedMessage | None:
        """Return the event of a message; None, which leaves the message, for a defect of ours."""
        origin, (receipt, text) = self._origin, message
        if len(text) > _LARGE_CHARACTERS:
            await asyncio.sleep(0)
        try:
            event = event_of(
                text,
                origin.app,
                origin.verifier,
                max_bytes=origin.max_bytes,
                source=f"sqs:{origin.name}",
                now_ms=now_ms(),
            )
        except Exception:
            _logger.exception("judging a message failed")
            self._errors.add(origin.name, "judge")
            return None
        return ReceivedMessage(receipt, event)

    async def _store(self, taken: Sequence[ReceivedMessage]) -> None:
        """Offer events to the intake until all are stored, or we stop."""
        failures, left = 0, taken
        while left:
            answers = Answers(len(left))
            for one in left:
                one.expect(answers)
                self._intake.submit(one.event, one)
            await answers.all_came
            left = [one for one in left if not one.stored]
            if left and self._stop.asked:
                await self._queue.release([one.receipt for one in left])
                break
            if left:
                failures += 1
                self._errors.add(self._origin.name, "store", by=len(left))
                await self._stop.back_off(failures)
        unfit = sum(one.stored and bool(one.event.unfit) for one in taken)
        if unfit:
            self._counts.add(self._origin.name, "not_an_event", by=unfit)
