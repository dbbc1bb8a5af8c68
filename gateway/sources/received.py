"""Messages that were taken from a queue, between the intake and their deletion."""

import asyncio
import time

from gateway.event import Event
from gateway.ingest.answers import Answer


class Answers:
    """Counts the answers to what was submitted together."""

    __slots__ = ("_left", "all_came")

    def __init__(self, count: int) -> None:
        self._left = count
        self.all_came: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def one_came(self) -> None:
        self._left -= 1
        if not self._left and not self.all_came.done():
            self.all_came.set_result(None)


class ReceivedMessage:
    """One message and its event: the `Reply` that the intake resolves."""

    __slots__ = ("_answers", "event", "read_at", "receipt", "stored")

    def __init__(self, receipt: str, event: Event) -> None:
        self.receipt, self.event = receipt, event
        self.stored = False
        self.read_at = 0.0
        self._answers: Answers | None = None

    def expect(self, answers: Answers) -> None:
        """Get ready for an answer, which `answers` counts."""
        self._answers = answers
        self.read_at = time.perf_counter()

    def resolve(self, answer: Answer) -> None:
        self.stored = answer.status == 200
        if self._answers is not None:
            self._answers.one_came()
