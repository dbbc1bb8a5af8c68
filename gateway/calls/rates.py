"""How much a user may say, and how much all together may say in one call. Pure.

What a client makes goes to everybody who watches: one client and a call of thousands are an
amplifier of thousands. So both are bounded, by a rate and a burst. An application's server speaks
for many users; only the call's bound counts for it. What has not spoken for as long as a burst
takes to come back is forgotten, for it is as good as new; beyond `_MOST` the longest silent are.
"""

from math import ceil
from typing import NamedTuple

from gateway.calls.errors import RATE_LIMIT, StreamError
from gateway.calls.tokens import Identity
from gateway.options import FeedOptions

_MOST = 20_000  # users, and calls, that are remembered


class Wait(NamedTuple):
    """For how long, and because of what: `user` or `call`."""

    seconds: float
    bound: str


class _Buckets:
    """Of many, each full of `burst` at first, and filled again at `per_s`."""

    def __init__(self, per_s: int, burst: int) -> None:
        self._per_s, self._burst = per_s, burst
        self._left: dict[tuple[str, str], tuple[float, float]] = {}  # what, and when; oldest first

    def wait_s(self, key: tuple[str, str], now_s: float) -> float:
        return max(0.0, (1 - self._now(key, now_s)) / self._per_s)

    def take(self, key: tuple[str, str], now_s: float) -> None:
        left = self._now(key, now_s) - 1
        self._left.pop(key, None)
        self._left[key] = left, now_s
        self._forget(now_s)

    def _now(self, key: tuple[str, str], now_s: float) -> float:
        left, at_s = self._left.get(key, (float(self._burst), now_s))
        return min(float(self._burst), left + (now_s - at_s) * self._per_s)

    def _forget(self, now_s: float) -> None:
        """Forget one or two of the oldest: more than come in."""
        for _ in range(2):
            key, (_, at_s) = next(iter(self._left.items()))
            if len(self._left) <= _MOST and now_s - at_s < self._burst / self._per_s:
                return
            del self._left[key]
            if not self._left:
                return


class Rates:
    """What is said here, in one process."""

    def __init__(self, options: FeedOptions) -> None:
        self._users = _Buckets(options.user_events_per_s, options.user_events_burst)
        self._calls = _Buckets(options.call_events_per_s, options.call_events_burst)

    def take(self, sender: Identity, cid: str, now_s: float) -> Wait | None:
        """Count one more event of `sender` to a call; or say how long it has to wait.

        `now_s`: monotonic seconds. What has to wait is not counted.
        """
        call = sender.app, cid
        waits = [Wait(self._calls.wait_s(call, now_s), "call")]
        if sender.user_id is not None:
            user = sender.app, sender.user_id
            waits.append(Wait(self._users.wait_s(user, now_s), "user"))
        if (longest := max(waits)).seconds > 0:
            return longest
        self._calls.take(call, now_s)
        if sender.user_id is not None:
            self._users.take((sender.app, sender.user_id), now_s)
        return None


def too_fast(wait: Wait) -> StreamError:
    """Say what is refused, and when to come again."""
    whom = "this user sends" if wait.bound == "user" else "the users of this call send"
    return StreamError(
        RATE_LIMIT,
        429,
        f"{whom} too many events",
        retry_after_s=max(1, ceil(wait.seconds)),
    )
