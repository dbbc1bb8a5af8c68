"""What questions about many calls may take of a process that has other things to do.

A client that asks without end delays those who ask the same, not webhooks and not the feed.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TypeVar

from gateway.calls.errors import RATE_LIMIT, StreamError
from gateway.calls.tokens import Identity

T = TypeVar("T")
_AT_WORK = 2
_MOST, _MOST_OF_USER = 64, 4  # at work or waiting
_SLICE_S = 0.005


class QueryTurns:
    """A few questions are at work at a time; others wait, of one user a few."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(_AT_WORK)
        self._under_way: Counter[tuple[str, str | None]] = Counter()

    @asynccontextmanager
    async def turn(self, caller: Identity) -> AsyncIterator[None]:
        """Wait for a turn of `caller`. Raises `StreamError` 9 when too many wait already."""
        who = caller.app, caller.user_id
        is_too_many = not caller.is_server and self._under_way[who] >= _MOST_OF_USER
        if is_too_many or self._under_way.total() >= _MOST:
            raise StreamError(RATE_LIMIT, 429, "too many queries at once", retry_after_s=1)
        self._under_way[who] += 1
        try:
            async with self._free:
                yield
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]


class LoopShare:
    """Work that takes half of the loop's time at most, all who do it together."""

    def __init__(self) -> None:
        self._one = asyncio.Lock()
        self._busy_s = 0.0

    async def each(self, items: Iterable[T], do: Callable[[T], None]) -> float:
        """Do something with each of `items`; return how long that took without the rests, s."""
        spent_s = 0.0
        async with self._one:
            for item in items:
                began = time.perf_counter()
                do(item)
                took_s = time.perf_counter() - began
                spent_s, self._busy_s = spent_s + took_s, self._busy_s + took_s
                if self._busy_s > _SLICE_S:
                    busy_s, self._busy_s = self._busy_s, 0.0
                    await asyncio.sleep(busy_s)
        return spent_s
