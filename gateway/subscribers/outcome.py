"""What one attempt came to: the closed set that every kind of subscriber answers with. Pure.

A kind answers one question, delivered or not and why; it never waits, counts or retries.
`Reason` is also the label in metrics and in dead letters.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an attempt failed."""

    STATUS = "status"  # an HTTP status that is worth another attempt: 408, 429, 5xx
    UNAUTHORIZED = "unauthorized"  # 401, 403, 404: a secret rotated, a deploy
    REJECTED = "rejected"  # any other 3xx or 4xx: another attempt will fare no better
    GONE = "gone"  # 410
    TIMEOUT = "timeout"
    NETWORK = "network"  # refused, reset, DNS, TLS
    EGRESS = "egress"  # the address is one that we refuse to call


@dataclass(frozen=True, slots=True)
class Delivered:
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """`snippet` is the start of the answer's body, for the dead letter."""

    reason: Reason
    status: int | None = None
    detail: str = ""
    snippet: str = ""
    retry_after_s: float | None = None


Outcome = Delivered | Failed
