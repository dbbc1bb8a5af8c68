"""What is published: the journal, as far as the publisher sees it."""

from collections.abc import Sequence
from typing import Protocol

from gateway.event import Stretch


class Piece(Protocol):
    """A bounded piece of the journal: its events with their places, and where to read on."""

    @property
    def stored(self) -> Stretch: ...
    @property
    def upto(self) -> int: ...


class Watermarks(Protocol):
    """What outlives us of what shards have said."""

    def of(self, shard: int) -> int: ...
    def keep(self, positions: Sequence[int]) -> None: ...


class Source(Protocol):
    """`gateway.journal.journal.Journal` is one."""

    end: int
    next_number: int

    opened_at: int
    opened_number: int

    @property
    def watermarks(self) -> Watermarks: ...
    @property
    def id(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def first_number(self) -> int: ...
    def read(self, position: int) -> Piece: ...
    def read_files(self, position: int, limit: int) -> Piece: ...
    def release(self, position: int) -> None: ...
    def go_on_at(self, position: int) -> None: ...
