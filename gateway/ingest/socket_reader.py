"""When the sockets of plain senders are read: at once, or all together when their turn has come.

While a batch is under way, whose answer the next acks have to wait for anyway, nobody is woken for
each request: they rest in their sockets until the publisher comes for more, never longer than
`LONGEST_REST_S`. Who is read here, and what of, is the C piece's business: `native/sockets.h`.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.native import Sockets

LONGEST_REST_S = 0.005


class SocketReader:
    """Reads `sockets` until closed; after each look `flush` takes what has come.

    `may_rest`: whether an answer would have to wait anyway.
    """

    def __init__(
        self, sockets: "Sockets", *, flush: Callable[[], None], may_rest: Callable[[], bool]
    ) -> None:
        self.sockets = sockets
        self.is_reading = False  # and a flush follows
        self._flush, self._may_rest = flush, may_rest
        self._loop = asyncio.get_running_loop()
        self._resting: asyncio.TimerHandle | None = None
        self._looked_at = 0.0  # by the loop's clock
        self._loop.add_reader(sockets.fileno(), self._readable)

    def _readable(self) -> None:
        self._look()
        if self._may_rest() and self._resting is None:
            self.sockets.rest()
            self._resting = self._loop.call_later(LONGEST_REST_S, self._rested)

    def _rested(self) -> None:
        left_s = self._looked_at + LONGEST_REST_S - self._loop.time()
        if left_s > 0 and self._may_rest():  # the publisher has been here meanwhile
            self._resting = self._loop.call_later(left_s, self._rested)
        else:
            self._watch()

    def _watch(self) -> None:
        self._resting = None
        self.sockets.watch()

    def _look(self) -> int:
        self.is_reading, self._looked_at = True, self._loop.time()
        try:
            return self.sockets.read()
        finally:
            self.is_reading = False
            self._flush()

    def take(self) -> None:
        """Read what has come while nobody looked; if nothing has, the next is taken at once."""
        if self._resting is None:
            self._flush()
        elif not self._look():
            self._resting.cancel()
            self._watch()

    def close(self) -> None:
        """Read nothing any more. May be called twice."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None  # the publisher may still come
        if self.sockets.fileno() >= 0:
            self._loop.remove_reader(self.sockets.fileno())
        self.sockets.close()
