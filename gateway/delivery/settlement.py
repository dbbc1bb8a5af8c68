"""What becomes of an event after an attempt: every outcome has exactly one answer here. Pure.

Nothing is buried before the horizon but what no further attempt can heal: REJECTED and GONE.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from gateway.delivery.lanes import History, Park, RetryIn, next_step
from gateway.options import RetryOptions
from gateway.subscribers.outcome import Delivered, Failed, Outcome, Reason


class Grave(StrEnum):
    """Why an attempt was the last; the reason in the dead letter."""

    REJECTED = "rejected"
    GONE = "gone"
    EXHAUSTED = "exhausted"  # the horizon of the slow lane has been reached


@dataclass(frozen=True, slots=True)
class Bury:
    reason: Grave


Settlement = Delivered | RetryIn | Park | Bury


def settle(
    outcome: Outcome,
    history: History,
    retry: RetryOptions,
    now_ms: int,
    jitter: float,
    *,
    on_410: Literal["bury", "pause"] = "bury",
) -> Settlement:
    """Decide on an event whose attempt ended at `now_ms` (Unix ms) with `outcome`.

    `history` counts that attempt already; `jitter` is a random number in [0, 1).
    """
    if isinstance(outcome, Delivered):
        return outcome
    if outcome.reason is Reason.REJECTED:
        return Bury(Grave.REJECTED)
    if outcome.reason is Reason.GONE:
        # Paused, it is due at once: the first thing that is tried when somebody resumes.
        return Park(now_ms, pauses=True) if on_410 == "pause" else Bury(Grave.GONE)
    return _after(outcome, history, retry, now_ms, jitter)


def _after(
    failed: Failed, history: History, retry: RetryOptions, now_ms: int, jitter: float
) -> RetryIn | Park | Bury:
    return next_step(failed, history, retry, now_ms, jitter) or Bury(Grave.EXHAUSTED)
