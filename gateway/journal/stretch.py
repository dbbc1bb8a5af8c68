"""Events on their way into the journal, and stretches of it. Pure.

Here without the C piece, as lists. With it a tick's events are written as records from the
beginning, and the journal only gives them their numbers; `gateway.native` has the same two.
`gateway.event.Stretch` says what a stretch is asked.
"""

from typing import Protocol, Self

from gateway.event import Event, Stored


class PlainStretch(list[Stored]):
    """A stretch whose events are all there."""

    @property
    def start(self) -> int:
        return self[0].start

    @property
    def end(self) -> int:
        return self[-1].end

    @property
    def first_number(self) -> int:
        return self[0].number

    @property
    def last_number(self) -> int:
        return self[-1].number

    @property
    def first_ms(self) -> int:
        return self[0].event.accepted_ms

    @property
    def last_ms(self) -> int:
        return self[-1].event.accepted_ms

    def part(self, begin: int, end: int) -> Self:
        return type(self)(self[begin:end])


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
