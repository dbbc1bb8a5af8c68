"""What clients may make and ask: counted in this process, and with all others in Redis.

Who is too fast for one process alone is refused by it at once, and costs nobody anything. Who is
not is counted in Redis, so that several workers and replicas let in no more than one would. What
Redis refuses is remembered here until it would not be any more. While Redis is away each process
counts for itself: nobody is refused for that.

What a request costs is a process's own matter, and is counted there alone.
"""

import logging
import time
from typing import Protocol

from gateway.calls.rates import RateBounds, Rates, RateUse, Wait, too_fast
from gateway.calls.tokens import Identity
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import log
from gateway.metrics import Counter
from gateway.options import FeedOptions

_CALLS_OF_REQUEST = 50  # each of which has to be looked up; with more it counts for more
_AGAIN_S = 1.0  # after Redis has not answered: one asks, the others go on without
_logger = logging.getLogger(__name__)


class Counting(Protocol):
    """Counts with all others; `gateway.store.rates` has the real one."""

    async def take(self, name: str, key: tuple[str, str], *, per_s: int, burst: int) -> float:
        """Return 0 for what is counted, else for how many seconds it has to wait.

        Raises `EngineUnavailable` or `EngineRefused`.
        """


class Allowance:
    """Everything raises `StreamError` 9, status 429, for what comes too fast; it is counted."""

    def __init__(self, options: FeedOptions, shared: Counting, refused: Counter) -> None:
        self._bounds, self._rates = RateBounds(options), Rates()
        self._shared, self._refused = shared, refused
        self._is_alone, self._ask_again_s = False, 0.0  # monotonic

    def request(self, caller: Identity, *, calls: int = 0) -> None:
        """Count one more request of a user, which is about so many calls."""
        uses, weight = self._bounds.request(caller), 1 + calls // _CALLS_OF_REQUEST
        self._check(self._rates.take(uses, time.monotonic(), weight=weight))

    def foresee(self, sender: Identity) -> None:
        """See that `sender` is not too fast here already, whatever the call; count nothing."""
        self._check(self._rates.look(self._bounds.sender(sender), time.monotonic()))

    async def event(self, sender: Identity, cid: str) -> None:
        """Count one more event of `sender` to a call."""
        await self._take(self._bounds.event(sender, cid))

    async def new_call(self, maker: Identity) -> None:
        """Count one more call that `maker` makes."""
        await self._take(self._bounds.new_call(maker))

    async def guest(self, app: str) -> None:
        """Count one more guest of an app."""
        await self._take(self._bounds.guest(app))

    async def _take(self, uses: tuple[RateUse, ...]) -> None:
        self._check(self._rates.take(uses, time.monotonic()))
        # The user's own first: what is refused there is not counted for all.
        for use in uses:
            wait_s = await self._take_shared(use)
            if wait_s > 0:
                self._rates.hold(use, wait_s, time.monotonic())
                self._check(Wait(wait_s, use.rate))

    async def _take_shared(self, use: RateUse) -> float:
        now_s, rate = time.monotonic(), use.rate
        if now_s < self._ask_again_s:
            return 0.0
        if self._is_alone:
            self._ask_again_s = now_s + _AGAIN_S
        try:
            wait_s = await self._shared.take(rate.name, use.key, per_s=rate.per_s, burst=rate.burst)
        except (EngineUnavailable, EngineRefused) as error:
            self._ask_again_s = time.monotonic() + _AGAIN_S
            self._tell(str(error))
            return 0.0
        self._tell("")
        return wait_s

    def _tell(self, why_alone: str) -> None:
        if why_alone and not self._is_alone:
            text = "Redis does not count what clients make: each process counts for itself"
            log(_logger, logging.WARNING, text, reason=why_alone)
        if self._is_alone and not why_alone:
            log(_logger, logging.INFO, "what clients make is counted in Redis again")
        self._is_alone = bool(why_alone)

    def _check(self, wait: Wait | None) -> None:
        if wait is not None:
            self._refused.add(wait.rate.name)
            raise too_fast(wait)
