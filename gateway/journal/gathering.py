"""What a tick has brought, on its way to become a stretch of the journal.

With the C piece it is written as records from the beginning, and the journal only gives them their
numbers; without it, it is a list of events.
"""

from typing import Protocol

from gateway import native
from gateway.event import Event


class Gathered(Protocol):
    """Events that a tick has brought, not in the journal yet."""

    def __len__(self) -> int: ...
    def events(self) -> list[Event]:
        """Return the events themselves."""


class Gathering(Gathered, Protocol):
    """Where they are gathered; always the same object, which `native` fills too."""

    def append(self, event: Event, /) -> None: ...
    def take(self) -> Gathered:
        """Return all of it, and be empty."""


class PlainGathering(list[Event]):
    """The same without the C piece."""

    def take(self) -> "PlainGathering":
        taken = PlainGathering(self)
        self.clear()
        return taken

    def events(self) -> list[Event]:
        return self


def gathering() -> Gathering:
    """Return an empty one, of whichever kind `Journal.append` takes fastest."""
    return native.stretch() if native.stretch is not None else PlainGathering()
