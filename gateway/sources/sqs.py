"""A queue as a source: receivers that take messages by long polling, and delete what is safe.

A message is deleted only after its event has been acknowledged as a webhook would be. Until then
it is kept invisible, and offered to the intake again and again: while the journal is full or
Redis away no message comes back to the queue, whose redrive policy would count that against it.
A receiver takes no more before what it has is safe, so what waits here is bounded.

Messages of one receive go to the intake in their order within one tick, where they share one
fate. SQS gives no more of a FIFO group while some of it are undeleted, so groups keep their
order. What is deleted too late comes again, and is a duplicate.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress

from gateway.aws.credentials import NoCredentials
from gateway.aws.sqs_client import SqsClient, SqsRefused, SqsUnreachable
from gateway.clock import now_ms
from gateway.event import Event
from gateway.ingest.answers import Answer
from gateway.ingest.reception import Intake
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import SqsSourceOptions
from gateway.sources.decode import event_of
from gateway.sources.origin import Origin
from gateway.tasks import end

_logger = logging.getLogger(__name__)
MAX_MESSAGES = 10
REQUEST_S = 10.0  # for anything but the waiting of a long poll
BACK_OFF_S = (0.1, 0.5, 2.0, 5.0, 15.0)
DELETE_ATTEMPTS = 4
_LARGE_CHARACTERS = 64 << 10  # decoding more than this at once lets others have the loop first

Message = tuple[str, str]  # its receipt handle, and its text
_FAILURES = (SqsRefused, SqsUnreachable, NoCredentials)


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


class _Taken:
    """One message and its event: the `Reply` that the intake resolves."""

    __slots__ = ("_answers", "event", "read_at", "receipt", "stored")

    def __init__(self, receipt: str, event: Event) -> None:
        self.receipt, self.event = receipt, event
        self.stored = False
        self.read_at = time.perf_counter()
        self._answers: _Answers | None = None

    def resolve(self, answer: Answer) -> None:
        self.stored = answer.status == 200
        if self._answers is not None:
            self._answers.one_came()

    def expect(self, answers: "_Answers") -> None:
        self._answers = answers
        self.read_at = time.perf_counter()


class _Answers:
    """Counts the answers to what was submitted together."""

    __slots__ = ("_left", "all_came")

    def __init__(self, count: int) -> None:
        self._left = count
        self.all_came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def one_came(self) -> None:
        self._left -= 1
        if not self._left and not self.all_came.done():
            self.all_came.set_result(None)


class SqsSource:
    """One queue and its receivers. Make it inside the running loop; it owns `client`."""

    def __init__(
        self,
        options: SqsSourceOptions,
        origin: Origin,
        client: SqsClient,
        intake: Intake,
        metrics: Metrics,
    ) -> None:
        self._options, self._origin, self._client = options, origin, client
        self._intake = intake
        self._counts, self._errors = metrics.source_messages, metrics.source_errors
        for what in ("received", "deleted", "not_an_event"):
            self._counts.values.setdefault((origin.name, what), 0)
        self._seldom = Seldom()
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
        await self._client.close()

    # One receiver

    async def _receive(self) -> None:
        failures = 0
        deletion: asyncio.Task[None] | None = None
        try:
            while not self._stop.asked:
                try:
                    messages = await self._poll()
                except (*_FAILURES, KeyError) as failure:  # an answer without what messages have
                    self._failed("receive", failure)
                    await self._stop.rest(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                    failures += 1
                    continue
                failures = 0
                if messages and (stored := await self._take(messages)):
                    if deletion is not None:
                        await deletion
                    # Deleted while the next are received.
                    deletion = asyncio.create_task(self._delete(stored))
            if deletion is not None:
                await deletion
        finally:
            if deletion is not None:
                await end((deletion,))

    async def _poll(self) -> list[Message]:
        """Return the next messages, none if there are none within the wait."""
        options, this = self._options, asyncio.current_task()
        assert this is not None, "it runs in a task"
        self._polling.add(this)
        try:
            answer = await self._client.ask(
                "ReceiveMessage",
                options.wait_s + REQUEST_S,
                MaxNumberOfMessages=MAX_MESSAGES,
                WaitTimeSeconds=options.wait_s,
                VisibilityTimeout=options.visibility_timeout_s,
            )
        except asyncio.CancelledError:
            if not self._stop.asked:
                raise
            return []
        finally:
            self._polling.discard(this)
        messages = [
            (message["ReceiptHandle"], message["Body"]) for message in answer.get("Messages") or ()
        ]
        self._counts.add(self._origin.name, "received", by=len(messages))
        return messages

    async def _take(self, messages: Sequence[Message]) -> list[_Taken]:
        """Return what is stored of `messages`; all of it, unless we stop before."""
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
        return [one for one in taken if one.stored]

    async def _judge(self, message: Message) -> _Taken | None:
        """Return the event of a message; None, which leaves the message, for a defect of ours."""
        origin, (receipt, text) = self._origin, message
        if len(text) > _LARGE_CHARACTERS:
            await asyncio.sleep(0)
        try:
            event = event_of(
                text, origin.app, origin.verifier, max_bytes=origin.max_bytes,
                source=f"sqs:{origin.name}", now_ms=now_ms(),
            )  # fmt: skip
        except Exception:
            _logger.exception("judging a message failed")
            self._errors.add(origin.name, "judge")
            return None
        return _Taken(receipt, event)

    async def _store(self, taken: Sequence[_Taken]) -> None:
        """Offer events to the intake until all are stored, or we stop."""
        failures = 0
        while left := [one for one in taken if not one.stored]:
            answers = _Answers(len(left))
            for one in left:
                one.expect(answers)
                self._intake.submit(one.event, one)
            await answers.all_came
            left = [one for one in left if not one.stored]
            if left and self._stop.asked:
                await self._release(left)
                break
            if left:
                self._errors.add(self._origin.name, "store", by=len(left))
                await self._stop.rest(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
        unfit = sum(one.stored and bool(one.event.unfit) for one in taken)
        if unfit:
            self._counts.add(self._origin.name, "not_an_event", by=unfit)

    # What is asked of SQS about messages that were taken

    async def _keep(self, receipts: Sequence[str]) -> None:
        """Keep messages invisible until cancelled."""
        timeout_s = self._options.visibility_timeout_s
        while True:
            await self._change(receipts, timeout_s, "extended")
            await asyncio.sleep(timeout_s / 3)

    async def _release(self, left: Sequence[_Taken]) -> None:
        """Give messages back to the queue at once."""
        await self._change([one.receipt for one in left], 0, "released")

    async def _change(self, receipts: Sequence[str], timeout_s: int, what: str) -> None:
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": timeout_s}
            for number, receipt in enumerate(receipts)
        ]
        try:
            answer = await self._client.ask(
                "ChangeMessageVisibilityBatch", REQUEST_S, Entries=entries
            )
        except _FAILURES as failure:
            self._failed(what, failure)
            return
        failed = len(answer.get("Failed") or ())
        self._counts.add(self._origin.name, what, by=len(entries) - failed)
        if failed:
            self._errors.add(self._origin.name, what, by=failed)

    async def _delete(self, stored: Sequence[_Taken]) -> None:
        """Delete what is safe. What cannot be deleted comes again, and is a duplicate then."""
        left = [one.receipt for one in stored]
        for attempt in range(DELETE_ATTEMPTS):
            try:
                left = await self._delete_once(left)
            except _FAILURES as failure:
                self._failed("delete", failure)
            if not left or attempt + 1 == DELETE_ATTEMPTS:
                return
            await self._stop.rest(BACK_OFF_S[attempt])

    async def _delete_once(self, receipts: Sequence[str]) -> list[str]:
        """Return those that are worth another attempt."""
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)
        ]
        answer = await self._client.ask("DeleteMessageBatch", REQUEST_S, Entries=entries)
        failed = answer.get("Failed") or []
        self._counts.add(self._origin.name, "deleted", by=len(receipts) - len(failed))
        if failed:
            self._errors.add(self._origin.name, "delete", by=len(failed))
        again = {one.get("Id") for one in failed if not one.get("SenderFault")}
        return [entry["ReceiptHandle"] for entry in entries if entry["Id"] in again]

    def _failed(self, call: str, failure: Exception) -> None:
        self._errors.add(self._origin.name, call)
        self._seldom.log(call, _logger, f"SQS: cannot {call}", source=self._origin.name,
                         reason=str(failure))  # fmt: skip
