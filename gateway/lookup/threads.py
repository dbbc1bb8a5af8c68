"""Calls that may hang, each in a thread of its own, which nobody waits for at the end.

The event loop's own threads are few, are shared with all else, and are waited for when the
process ends: one name server that is silent would hold up everything. These are daemons.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

MOST = 128
MOST_SLOW = 16
SLOW_S = 1.0
T = TypeVar("T")


def in_thread(call: Callable[[], T], *, name: str) -> asyncio.Future[T]:
    """Begin `call` in a thread of its own; return the future of what comes of it.

    The call goes on, whoever gives up waiting. Where no thread can be had the future has an
    `OSError`.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            settle: Callable[[], None] = partial(_succeed, done, call())
        except Exception as error:  # whatever it is, it is for those who wait
            settle = partial(_fail, done, error)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(settle)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:  # too many threads in the machine or the container
        _fail(done, OSError(str(error)))
    return done


def _succeed(done: asyncio.Future[Any], result: Any) -> None:
    if not done.done():
        done.set_result(result)


def _fail(done: asyncio.Future[Any], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()  # read once here: everybody may have given up


class _Turn(NamedTuple):
    what: Hashable
    call: Callable[[], Any]
    done: asyncio.Future[Any]


class ThreadTurns:
    """At most `most` calls at a time; `most_slow` of those about what hung in vain the last time.

    So those that hang again and again take turns among themselves, and hold up nobody else.
    """

    def __init__(
        self, name: str, *, most: int = MOST, most_slow: int = MOST_SLOW, slow_s: float = SLOW_S
    ) -> None:
        """`name`: of the threads; `slow_s`: what fails after so long has hung."""
        self._name = name
        self._most, self._most_slow, self._slow_s = most, most_slow, slow_s
        self._slow: set[Hashable] = set()
        self._waiting: deque[_Turn] = deque()
        self._waiting_slow: deque[_Turn] = deque()
        self._running = self._running_slow = 0

    def run(self, what: Hashable, call: Callable[[], T]) -> asyncio.Future[T]:
        """Have `call` made, which is about `what`, as `in_thread`; perhaps after others."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        waiting = self._waiting_slow if what in self._slow else self._waiting
        waiting.append(_Turn(what, call, done))
        self._go_on()
        return done

    def forget(self, what: Hashable) -> None:
        """Take no more notice of how `what` was the last time."""
        self._slow.discard(what)

    def _go_on(self) -> None:
        while self._running < self._most:
            is_slow = not self._waiting
            if is_slow and (not self._waiting_slow or self._running_slow >= self._most_slow):
                return
            turn = (self._waiting_slow if is_slow else self._waiting).popleft()
            self._running += 1
            self._running_slow += is_slow
            thread = in_thread(turn.call, name=self._name)
            began = time.monotonic()
            thread.add_done_callback(partial(self._ended, turn, began, is_slow=is_slow))

    def _ended(
        self, turn: _Turn, began: float, thread: asyncio.Future[Any], *, is_slow: bool
    ) -> None:
        self._running -= 1
        self._running_slow -= is_slow
        self._slow.discard(turn.what)
        error = thread.exception()
        if isinstance(error, Exception):
            if time.monotonic() - began >= self._slow_s:
                self._slow.add(turn.what)
            _fail(turn.done, error)
        else:
            _succeed(turn.done, thread.result())
        self._go_on()
