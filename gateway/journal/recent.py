"""The newest of the journal in memory, so that a publisher that keeps up never reads a file.

Bounded: of a publisher that is behind, all of it is forgotten at once, and its backlog is read
from disk.
"""

from bisect import bisect_left
from collections import deque
from itertools import islice
from operator import attrgetter

from gateway.event import Stretch
from gateway.journal.reading import Chunk

MAX_BYTES = 1 << 20
CHUNK_MAX_EVENTS = 512
_start = attrgetter("start")


class RecentRecords:
    """Pieces of the journal as they were appended, one behind the other, none empty."""

    def __init__(self) -> None:
        self._pieces: deque[Stretch] = deque()
        self._bytes = 0

    def add(self, piece: Stretch, length: int) -> None:
        """Keep `piece`, which has `length` bytes."""
        self._bytes += length
        if self._bytes > MAX_BYTES:
            self._pieces.clear()
            self._bytes = length
        if piece:
            self._pieces.append(piece)

    @property
    def start(self) -> int | None:
        """The first position that is here."""
        return self._pieces[0].start if self._pieces else None

    def count_from(self, position: int) -> int:
        """Return how many records begin at `position` or behind it."""
        return sum(1 for piece in self._pieces for one in piece if one.start >= position)

    def read(self, position: int) -> Chunk | None:
        """Return what follows `position`, a bounded piece of it; None if it is not here. What is
        before it is forgotten.
        """
        pieces = self._pieces
        while pieces and pieces[0].end <= position:
            gone = pieces.popleft()
            self._bytes -= gone.end - gone.start
        if not pieces or pieces[0].start > position:
            return None
        first = pieces[0]
        begin = bisect_left(first, position, key=_start) if first.start < position else 0
        stored = first.part(begin, len(first))
        for piece in islice(pieces, 1, None):
            if len(stored) + len(piece) > CHUNK_MAX_EVENTS:
                break
            stored.extend(piece)
        return Chunk(stored, stored.end)
