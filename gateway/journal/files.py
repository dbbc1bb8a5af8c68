"""The journal's files, oldest first: which there are, which is written to, when one may go.

There is always one, and each begins where the one before it ends. Positions and files only:
what is synced, and what a disk's refusal means, is the journal's business.
"""

import time
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from gateway.journal import records, segment
from gateway.journal.disk import Disk
from gateway.journal.reading import Chunk, read_segment
from gateway.journal.recovery import RecoveredJournal
from gateway.journal.segment import Segment


class Files:
    """Goes on in a fresh file behind what was `found`. Raises `OSError`, as all its calls may."""

    def __init__(
        self, disk: Disk, folder: Path, found: RecoveredJournal, journal_id: bytes
    ) -> None:
        self._disk, self._folder, self._id = disk, folder, journal_id
        self._segments = found.segments
        end = found.segments[-1].end if found.segments else 0
        if self._segments and not self._segments[-1].data_bytes:
            # Its name is taken by the one made now. Another hand may have it still, and append.
            segment.keep_aside(disk, self._segments[-1])
            disk.close(self._segments.pop().fd)
        self.begin(end, found.next_number)

    def __len__(self) -> int:
        return len(self._segments)

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    @property
    def first(self) -> Segment:
        return self._segments[0]

    @property
    def last(self) -> Segment:
        """The one that is written to."""
        return self._segments[-1]

    def begin(self, base: int, number: int) -> None:
        """Go on in a fresh file, whose first record will be `number`, at `base`."""
        self._segments.append(segment.create(self._disk, self._folder, self._id, base, number))

    def replace(self, old: Segment, begin: int, number: int) -> None:
        """Write what `old` holds from `begin` on anew into a fresh file, which then is on disk;
        `old` ends there. `number` is that of the record at `begin`, should it not check.
        """
        data = self._disk.read(old.fd, old.end - begin, old.offset(begin))
        if (first := records.decode(data, 0)) is not None:
            number = first.number
        fresh = segment.create(self._disk, self._folder, self._id, begin, number, data=data)
        old.end = begin
        self._segments.insert(self._segments.index(old) + 1, fresh)

    def discard(self, old: Segment) -> None:
        """Close one of which nothing is left; its name is that of the one behind it."""
        self._segments.remove(old)
        self._disk.close(old.fd)

    def read(self, position: int, limit: int, *, keep_damage: bool = True) -> Chunk:
        """Return what follows `position`, a bounded piece of it, not beyond `limit`."""
        position = max(position, self.first.base)
        index = bisect_right(self._segments, position, key=lambda one: one.base) - 1
        one = self._segments[index]
        if position >= one.end and index + 1 < len(self._segments):
            one = self._segments[index + 1]
            position = one.base
        return read_segment(self._disk, one, position, limit, keep_damage=keep_damage)

    def rename(self, journal_id: bytes, number: int) -> None:
        """Bear another name from here on: go on in a fresh file, whose first record will be
        `number`. Raises `OSError`.
        """
        self._id = journal_id
        last = self.last
        self.begin(last.end, number)
        if not last.data_bytes:  # its name is that of the fresh one
            self.discard(last)

    def finish(self, position: int) -> None:
        """All before `position` is published; what is behind it is not, or not any more."""
        now = time.monotonic()
        for one in self._segments[:-1]:
            if one.end > position:
                one.finished_at = None
            elif one.finished_at is None:
                one.finished_at = now

    def drop_finished(self, *, older_than_s: float, synced: int) -> None:
        """Remove the files that are finished that long. One that cannot be removed is forgotten
        nevertheless.
        """
        now = time.monotonic()
        while len(self._segments) > 1:
            oldest = self.first
            if oldest.finished_at is None or now - oldest.finished_at < older_than_s:
                return
            if oldest.end > synced:
                return  # the syncer still holds its descriptor
            self._segments.pop(0)
            self._disk.close(oldest.fd)
            self._disk.remove(oldest.path)

    def close(self) -> None:
        for one in self._segments:
            self._disk.close(one.fd)
