"""What a subscriber is handed for one attempt. Pure."""

from typing import NamedTuple, Protocol

from gateway.event import Meta
from gateway.subscribers.outcome import Outcome


class Attempt(NamedTuple):
    """One attempt to deliver one event; `number` counts from 1 over both lanes."""

    meta: Meta
    body: bytes
    number: int
    timeout_s: float
    late: bool = False  # went through the slow lane or was revived: order is not promised


class Subscriber(Protocol):
    """A destination. `attempt` never raises but for cancellation and defects."""

    async def attempt(self, attempt: Attempt) -> Outcome: ...

    async def close(self) -> None: ...
