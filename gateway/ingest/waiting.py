"""The `Reply` of an event that did not come over the fast path: somebody awaits it."""

import asyncio
import time

from gateway.ingest.answers import Answer


class AwaitedReply:
    """Made when the event is whole; `answered` has the intake's word."""

    __slots__ = ("answered", "read_at")

    def __init__(self) -> None:
        self.read_at = time.perf_counter()
        self.answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def resolve(self, answer: Answer) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)
