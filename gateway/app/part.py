"""A part of a process: what it is asked for, what it is built from, and what is open in the end."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gateway.engine.engine import Engine
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.store.restoring.restorer import Restorer


class Part(Protocol):
    """In the order in which it is asked."""

    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        """Return what is to run until the end, by name. One that ends ends the process."""

    async def take_no_more(self, timeout_s: float) -> None:
        """Stop taking what comes by itself; open connections are still served."""

    async def finish(self, timeout_s: float) -> None:
        """Bring to an end what was taken; the listener is closed."""

    async def close(self) -> None:
        """Drop connections and files; the loops have ended, or never began."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all parts of one process have in common."""

    config: Config
    engine: Engine  # for commands; the publisher and the doorbell have connections of their own
    metrics: Metrics
    restorer: Restorer


class Ports(NamedTuple):
    """What is open. `public_port` None: nothing is taken here."""

    public_port: int | None
    admin_port: int
