"""What a part of the process is asked for, in the order in which it is asked."""

from collections.abc import Coroutine, Mapping
from typing import Any, Protocol


class Part(Protocol):
    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        """Return what is to run until the end, by name. One that ends ends the process."""

    async def take_no_more(self, timeout_s: float) -> None:
        """Stop taking what comes by itself; open connections are still served."""

    async def finish(self, timeout_s: float) -> None:
        """Bring to an end what was taken; the listener is closed."""

    async def close(self) -> None:
        """Drop connections and files; the loops have ended, or never began."""
