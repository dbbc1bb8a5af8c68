"""A stretch of the journal whose events are all made: what there is without the C piece. Pure.

`gateway.event.Stretch` says what it is asked.
"""

from typing import Self

from gateway.event import Stored


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
