"""The two lanes of retries: when an event that failed is tried again. Pure.

The fast lane is Stream's own table, in memory: a few attempts within `total_s` of the first
one's start, the last one's time-out cut to what is left. Whatever it cannot heal goes to the
slow lane, parked in Redis: exponential back-off with full jitter, so that a thousand events that
failed together do not come back together. A Retry-After is a lower bound in both lanes, at most
`slow_max_s`. The horizon ends the slow lane, but only after an attempt made there: an event that
waited through our own outage is tried before it is given up.

https://getstream.io/video/docs/api/webhooks/overview/
"""

from dataclasses import dataclass, replace
from typing import Literal

from gateway.options import RetryOptions
from gateway.subscribers.outcome import Failed, Reason

Lane = Literal["fast", "slow"]

MIN_ATTEMPT_S = 0.25  # with less left in the fast lane, an attempt is not worth starting
MIN_DELAY_S = 1.0  # of the slow lane; jitter alone could come to nothing


@dataclass(frozen=True, slots=True)
class History:
    """What was tried with an event. A slow lane entered is never left for the fast one."""

    attempts: int = 0  # over both lanes and revivals: the number that the last attempt bore
    first_attempt_ms: int = 0  # its start; 0 before it, and again after a revival
    slow_attempts: int = 0  # those of the slow lane, since the event came or was revived

    @property
    def lane(self) -> Lane:
        """The lane that the last attempt was made in."""
        return "slow" if self.slow_attempts else "fast"

    def begin(self, lane: Lane, now_ms: int) -> "History":
        """Return the history with the attempt that begins now, in `lane`."""
        return replace(
            self,
            attempts=self.attempts + 1,
            first_attempt_ms=self.first_attempt_ms or now_ms,
            slow_attempts=self.slow_attempts + (lane == "slow"),
        )


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Wait in memory, then make the next attempt, with this time-out."""

    wait_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Park:
    """Leave the pending list; due again at `due_ms`. `pauses`: and pause the subscriber."""

    due_ms: int
    pauses: bool = False


def first_timeout_s(lane: Lane, retry: RetryOptions) -> float:
    """Return the time-out, in seconds, of an attempt that no RetryIn ordered."""
    return min(retry.timeout_s, retry.total_s) if lane == "fast" else retry.timeout_s


def next_step(
    failed: Failed, history: History, retry: RetryOptions, now_ms: int, jitter: float
) -> RetryIn | Park | None:
    """Return what follows a failure that may heal, or None where the horizon has been reached.

    `now_ms` is when the attempt ended, `jitter` a random number in [0, 1).
    """
    step = _fast(failed, history, retry, now_ms) if history.lane == "fast" else None
    return step or _slow(failed, history, retry, now_ms, jitter)


def _fast_attempts(reason: Reason, retry: RetryOptions) -> int:
    """How many attempts the fast lane grants, by the kind of the latest failure."""
    match reason:
        case Reason.STATUS:
            return retry.status_attempts
        case Reason.NETWORK:
            return retry.network_attempts
        case Reason.TIMEOUT:
            return retry.timeout_attempts
        case _:
            return 0


def _fast(failed: Failed, history: History, retry: RetryOptions, now_ms: int) -> RetryIn | None:
    if history.attempts >= _fast_attempts(failed.reason, retry):
        return None
    wait_s = max(_table_wait_s(history.attempts, retry), failed.retry_after_s or 0.0)
    spent_s = max(0, now_ms - history.first_attempt_ms) / 1000
    left_s = retry.total_s - spent_s - wait_s
    if left_s < MIN_ATTEMPT_S:
        return None
    return RetryIn(wait_s, min(retry.timeout_s, left_s))


def _table_wait_s(attempts: int, retry: RetryOptions) -> float:
    return retry.waits_s[min(attempts, len(retry.waits_s)) - 1] if retry.waits_s else 0.0


def _slow(
    failed: Failed, history: History, retry: RetryOptions, now_ms: int, jitter: float
) -> Park | None:
    horizon_ms = history.first_attempt_ms + int(retry.slow_horizon_s * 1000)
    if now_ms >= horizon_ms:
        return None
    asked_s = min(failed.retry_after_s or 0.0, retry.slow_max_s)
    delay_s = max(_backoff_s(history.slow_attempts, retry, jitter), asked_s)
    return Park(min(now_ms + int(delay_s * 1000), horizon_ms))


def _backoff_s(slow_attempts: int, retry: RetryOptions, jitter: float) -> float:
    # 2**40 is past every slow_max_s; an exponent without bound would overflow.
    ceiling_s = min(retry.slow_max_s, retry.slow_first_s * 2.0 ** min(slow_attempts, 40))
    return max(MIN_DELAY_S, ceiling_s * jitter)
