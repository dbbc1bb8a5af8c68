"""How much clients may make and ask, as one process counts it. Pure.

What a client makes goes to everybody who watches, or stays: one client and a call of thousands are
an amplifier of thousands. So it is bounded, by a rate and a burst, for each user and for all
together. An application's server speaks for many users; only what all do together counts for it.
What has been silent for as long as a burst takes to come back is forgotten, for it is as good as
new; beyond `_MOST` the longest silent are.
"""

from math import ceil
from typing import NamedTuple

from gateway.calls.errors import RATE_LIMIT, StreamError
from gateway.calls.tokens import Identity
from gateway.options import FeedOptions

_MOST = 20_000  # users, calls or apps, that are remembered of one kind


class Rate(NamedTuple):
    """So many a second, with bursts of so many. `told`: what somebody hears who is too fast."""

    name: str
    per_s: int
    burst: int
    told: str


class RateUse(NamedTuple):
    """One more, of what a rate bounds: of a user, a call or an app."""

    rate: Rate
    key: tuple[str, str]


class Wait(NamedTuple):
    """For how long, and because of what."""

    seconds: float
    rate: Rate


class Rates:
    """What is counted here, each kind for itself."""

    def __init__(self) -> None:
        self._buckets: dict[str, _Buckets] = {}

    def look(self, uses: tuple[RateUse, ...], now_s: float) -> Wait | None:
        """Say how long these have to wait; None: not at all. `now_s`: monotonic seconds."""
        waits = [Wait(self._of(one.rate).wait_s(one.key, now_s), one.rate) for one in uses]
        longest = max(waits, key=lambda one: one.seconds, default=None)
        return longest if longest is not None and longest.seconds > 0 else None

    def take(self, uses: tuple[RateUse, ...], now_s: float, *, weight: int = 1) -> Wait | None:
        """Count these; or say how long they have to wait, and count none.

        What counts for more is let in where one would be; what comes after it pays the rest.
        """
        if (wait := self.look(uses, now_s)) is not None:
            return wait
        for one in uses:
            self._of(one.rate).take(one.key, now_s, weight)
        return None

    def hold(self, use: RateUse, wait_s: float, now_s: float) -> None:
        """Have the next one wait for `wait_s`: elsewhere more was counted than here."""
        self._of(use.rate).hold(use.key, wait_s, now_s)

    def _of(self, rate: Rate) -> "_Buckets":
        found = self._buckets.get(rate.name)
        if found is None:
            found = self._buckets[rate.name] = _Buckets(rate.per_s, rate.burst)
        return found


class _Buckets:
    """Of many, each full of `burst` at first, and filled again at `per_s`."""

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left: dict[tuple[str, str], tuple[float, float]] = {}  # what, and when; oldest first

    def wait_s(self, key: tuple[str, str], now_s: float) -> float:
        return max(0.0, (1 - self._now(key, now_s)) / self._per_s)

    def take(self, key: tuple[str, str], now_s: float, weight: int) -> None:
        self._keep(key, self._now(key, now_s) - weight, now_s)

    def hold(self, key: tuple[str, str], wait_s: float, now_s: float) -> None:
        self._keep(key, min(self._now(key, now_s), 1 - wait_s * self._per_s), now_s)

    def _now(self, key: tuple[str, str], now_s: float) -> float:
        left, at_s = self._left.get(key, (float(self._burst), now_s))
        return min(float(self._burst), left + (now_s - at_s) * self._per_s)

    def _keep(self, key: tuple[str, str], left: float, now_s: float) -> None:
        self._left.pop(key, None)
        self._left[key] = left, now_s
        self._forget(now_s)

    def _forget(self, now_s: float) -> None:
        """Forget one or two of the oldest: more than come in."""
        for _ in range(2):
            key, (_, at_s) = next(iter(self._left.items()))
            if len(self._left) <= _MOST and now_s - at_s < self._burst / self._per_s:
                return
            del self._left[key]
            if not self._left:
                return


class RateBounds:
    """What may be made and asked how fast, of `options`."""

    def __init__(self, options: FeedOptions) -> None:
        self._user = Rate(
            "user", options.user_events_per_s, options.user_events_burst, "this user makes too much"
        )
        self._call = Rate(
            "call",
            options.call_events_per_s,
            options.call_events_burst,
            "the users of this call send too many events",
        )
        self._new_calls = Rate(
            "new_calls",
            options.new_calls_per_s,
            options.new_calls_burst,
            "the users of this app make too many calls",
        )
        self._guests = Rate(
            "guests", options.guests_per_s, options.guests_burst, "too many guests come at once"
        )
        self._requests = Rate(
            "requests",
            options.user_requests_per_s,
            options.user_requests_burst,
            "this user asks too often",
        )

    def event(self, sender: Identity, cid: str) -> tuple[RateUse, ...]:
        return (*self.sender(sender), RateUse(self._call, (sender.app, cid)))

    def sender(self, sender: Identity) -> tuple[RateUse, ...]:
        return _own(self._user, sender)

    def new_call(self, maker: Identity) -> tuple[RateUse, ...]:
        """Return what one more call counts for; a server may make as many as it likes."""
        own = _own(self._user, maker)
        return (*own, RateUse(self._new_calls, (maker.app, ""))) if own else ()

    def guest(self, app: str) -> tuple[RateUse, ...]:
        return (RateUse(self._guests, (app, "")),)

    def request(self, caller: Identity) -> tuple[RateUse, ...]:
        return _own(self._requests, caller)


def _own(rate: Rate, who: Identity) -> tuple[RateUse, ...]:
    return () if who.user_id is None else (RateUse(rate, (who.app, who.user_id)),)


def too_fast(wait: Wait) -> StreamError:
    """Say what is refused, and when to come again."""
    return StreamError(RATE_LIMIT, 429, wait.rate.told, retry_after_s=max(1, ceil(wait.seconds)))
