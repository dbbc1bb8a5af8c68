"""Admission: how fast newcomers are let in.

A process that starts while ten thousand SDKs come back would do nothing else for seconds. So they
are let in at a bounded rate; a bounded number waits for its turn, shorter than any client's
patience, and the others are answered 503, after which the SDK and feed.js try again by themselves.

While Redis is not there yet nobody is let in: an SDK that is asks three times to watch again what
it watched before, and then never more.
"""

import asyncio
from collections import deque

from gateway.calls.errors import RATE_LIMIT, StreamError

_PER_S = 1000
_TURN_S = 0.01
_MOST_WAITING = 1000
_PATIENCE_S = 2.0  # until we open; Stream's SDK waits 15 s for its first message


def too_many() -> StreamError:
    """Say that there is no room now; coming again helps."""
    return StreamError(RATE_LIMIT, 503, "too many connections now, try again", retry_after_s=1)


class Admission:
    """Shut until `open`; `close` it to let in nobody any more."""

    def __init__(self, *, per_s: int = _PER_S, most_waiting: int = _MOST_WAITING) -> None:
        self._per_turn = max(1, int(per_s * _TURN_S))
        self._most_waiting = most_waiting
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._outside = 0  # that wait for us to open
        self._left = self._per_turn  # in this turn
        self._opened = asyncio.Event()
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self) -> None:
        """Return when it is the caller's turn. Raises `StreamError` 9 when too many wait."""
        if not self._opened.is_set():
            await self._wait_open()
        if self._is_closed or len(self._waiting) >= self._most_waiting:
            raise too_many()
        self._start_turns()
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        await mine

    def open(self) -> None:
        self._opened.set()

    async def _wait_open(self) -> None:
        if self._outside >= self._most_waiting:
            raise too_many()
        self._outside += 1
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._opened.wait()
        except TimeoutError:
            raise too_many() from None
        finally:
            self._outside -= 1

    def close(self) -> None:
        self._is_closed = True
        self._opened.set()
        while self._waiting:
            mine = self._waiting.popleft()
            if not mine.done():
                mine.set_exception(too_many())

    def _start_turns(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_TURN_S, self._next_turn)

    def _next_turn(self) -> None:
        self._timer, self._left = None, self._per_turn
        while self._waiting and self._left:
            mine = self._waiting.popleft()
            if not mine.done():  # else it has gone meanwhile
                mine.set_result(None)
                self._left -= 1
        if self._waiting:
            self._start_turns()
