"""The journal itself: append, read, forget. One per worker; used from its event loop only.

`append` returns when the kernel has the bytes (they survive a kill -9 of ours); `synced` tells
up to where they survive the machine. The journal is bounded in bytes: beyond the bound
`append` raises `JournalFull`. A disk that refuses raises `JournalFailed`, and the next `append`
tries again. A folder that another process has opened too is that one's: `append` raises
`JournalTaken` from then on, and what is here already can only be read.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gateway import native
from gateway.errors import JournalFailed, JournalFull, JournalTaken
from gateway.event import Event
from gateway.journal import overlaps, records, recovery, segment
from gateway.journal.disk import Disk
from gateway.journal.files import Files
from gateway.journal.ownership import Ownership
from gateway.journal.reading import Chunk
from gateway.journal.recent import RecentRecords
from gateway.journal.records import Record
from gateway.journal.segment import Segment
from gateway.journal.stretch import Gathered, Gathering, PlainGathering
from gateway.journal.syncer import Synced, Syncer
from gateway.journal.watermarks import Watermarks
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.options import JournalOptions

_log = logging.getLogger("gateway.journal")
_encode: Any = native.encode or records.encode_all


def gathering() -> Gathering:
    """Return an empty one, of whichever kind `Journal.append` takes fastest."""
    return native.stretch() if native.stretch is not None else PlainGathering()


class Journal:
    """Opens `folder` at once, whatever state it is in."""

    def __init__(
        self,
        folder: Path,
        options: JournalOptions,
        metrics: Metrics,
        *,
        disk: Disk | None = None,
    ) -> None:
        self._on_synced: list[Callable[[], None]] = []
        self._options, self._metrics = options, metrics
        self._disk = disk or Disk()
        self._loop = asyncio.get_running_loop()
        self._seldom = Seldom(interval_s=10)
        self.folder = folder
        found = recovery.recover(self._disk, folder)
        self.ownership = Ownership(self._disk, folder, found.journal_id.hex())
        self.next_number, self.last_ms = found.next_number, found.last_ms
        # Before anything is made that another hand might make, too.
        self.ownership.open(found.segments[-1].end if found.segments else 0)
        self._files = Files(self._disk, folder, found, bytes.fromhex(self.id))
        self.end = self._files.last.end
        self.watermarks = Watermarks(self._disk, folder, self.ownership)
        self._synced = self.end
        self._reports: deque[Synced] = deque()
        self.is_full = False  # the last append found no room, and none was made since
        self._tail = RecentRecords()
        self._to_rescue: list[Segment] = []  # of which something may not be on disk, or not whole
        self._syncer = Syncer(self._disk, options.sync_interval_s, self._report)
        self._syncer.is_awaited = True
        if found.hidden:
            self._append_anew(found.hidden)

    def _append_anew(self, hidden: Sequence[Record]) -> None:
        """Append what no publisher would find where it stands, and take it away there.

        Should we be killed between the two it is appended once more, and is a duplicate then.
        """
        try:
            self.append([Event.restored(one.meta, one.body) for one in hidden])
        except (JournalFull, JournalFailed) as error:
            log(
                _log,
                logging.ERROR,
                "it is not appended anew: the next start tries again",
                reason=str(error),
            )
            return
        try:
            self._disk.datasync(self._files.last.fd)
            overlaps.forget(self._disk, list(self._files))
        except OSError as error:
            self._failed("truncate", error)

    @property
    def id(self) -> str:
        """The name under which Redis keeps the journal's position; 32 hex digits."""
        return self.ownership.name

    @property
    def start(self) -> int:
        """The oldest position that can still be read."""
        return self._files.first.base

    @property
    def first_number(self) -> int:
        """The number of the record there, or of the next one if there is none."""
        return self._files.first.first_number

    @property
    def size_bytes(self) -> int:
        return self.end - self.start

    # ---- append

    def append(self, events: Sequence[Event] | Gathered) -> int:
        """Write `events` as one piece and return the position behind them.

        Raises `JournalFull`, `JournalFailed` or `JournalTaken`; then nothing of `events` is in the
        journal.
        """
        if self.ownership.is_lost:
            raise JournalTaken(f"another process has opened {self.folder}")
        number, start = self.next_number, self.end
        data, stored = _encode(events, number, start)
        self._make_room(len(data))
        self._write(data)
        self.end = start + len(data)
        self.next_number = number + len(events)
        current = self._files.last
        current.end = self.end
        self._tail.add(stored, len(data))
        self._syncer.mark(current)
        return self.end

    def _make_room(self, length: int) -> None:
        current = self._files.last
        if current.end - current.base + length > self._options.segment_bytes and current.data_bytes:
            self._roll()
        if self.size_bytes + length > self._options.max_bytes:
            self._drop_finished(older_than_s=0)
            if self.size_bytes + length > self._options.max_bytes:
                self.is_full = True
                raise JournalFull(f"{self.size_bytes} bytes wait to be published")

    def _roll(self) -> None:
        if not self.look():
            raise JournalTaken(f"another process has opened {self.folder}")
        try:
            self._files.begin(self.end, self.next_number)
        except OSError as error:
            raise self._failed("create", error) from error

    def _write(self, data: bytes) -> None:
        self._rescue_all()
        current = self._files.last
        offset = current.offset(current.end)
        try:
            segment.write_all(self._disk, current.fd, data)
        except OSError as error:
            self._cut(current, offset)
            raise self._failed("write", error) from error

    def _cut(self, current: Segment, offset: int) -> None:
        """Take back half a write; where even that fails, go on in a fresh file."""
        try:
            self._disk.truncate(current.fd, offset)
            # The descriptor's own offset moved with the half write.
            self._disk.seek(current.fd, offset)
        except OSError:
            self._to_rescue.append(current)

    def _failed(self, call: str, error: OSError) -> JournalFailed:
        self._metrics.journal_failures.add(call)
        self._seldom.log(call, _log, f"the disk refused a journal {call}", error=str(error))
        return JournalFailed(f"{call}: {error}")

    # ---- sync

    @property
    def synced(self) -> int:
        """Up to where the disk has the records."""
        self._take_reports()
        self._synced = max(self._synced, self._syncer.synced)
        return self._synced

    def on_synced(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the loop after each sync, as long as one is awaited."""
        self._on_synced.append(callback)

    def await_syncs(self, *, is_awaited: bool) -> None:
        """Say whether anybody waits for a sync.

        To be said before a look at `synced`, which is true whenever it is read. A sync that fails
        is told anyway.
        """
        self._syncer.is_awaited = is_awaited

    def _report(self, done: Synced) -> None:
        """Hop from the syncer's thread to the loop, unless that has ended."""
        if done.error is not None:
            self._reports.append(done)
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell)

    def _take_reports(self) -> None:
        while self._reports:
            one = self._reports.popleft()
            if one.error is not None and one.segment in self._files:
                self._failed("fdatasync", one.error)
                self._to_rescue.append(one.segment)

    def _tell(self) -> None:
        self._take_reports()
        try:
            self._rescue_all()
        except JournalFailed:
            return  # told already; the next append tries again
        for callback in self._on_synced:
            callback()

    def _rescue_all(self) -> None:
        while self._to_rescue and self.look():
            if self._to_rescue[0] in self._files:
                self._rescue(self._to_rescue[0])
            self._to_rescue.pop(0)

    def _rescue(self, old: Segment) -> None:
        """Write what of `old` may not be on disk anew, at the same positions, into a fresh file,
        which then is. Until then no sync of what is behind it counts.

        After a failed fdatasync the kernel may call pages clean that never reached the disk, so
        the old file is not written to again; its pages are still the best copy there is.
        """
        begin = max(old.base, min(self.synced, old.end))
        if begin == old.end and old is not self._files.last:
            # Rescued already, for another failure. Once more, and an empty file would take the
            # name of the one that has its records now.
            self._syncer.forget(old)
            return
        try:
            self._files.replace(old, begin, self._number_at(begin))
        except OSError as error:
            raise self._failed("rescue", error) from error
        self._syncer.forget(old)  # before its descriptor is closed
        if not old.data_bytes:
            self._files.discard(old)
        self._syncer.mark(self._files.last)

    def _number_at(self, position: int) -> int:
        return self.next_number - self._tail.count_from(position)

    # ---- read

    def read(self, position: int) -> Chunk:
        """Return what follows `position`, a bounded piece of it. Raises `OSError`."""
        found = self._tail.read(position)
        if found is not None:
            return found
        start = self._tail.start
        return self.read_files(position, self.end if start is None else start)

    def read_files(self, position: int, limit: int) -> Chunk:
        """Return the same from disk alone, not beyond `limit`: for a backlog."""
        chunk = self._files.read(position, min(limit, self.end))
        if chunk.damage:
            self._metrics.journal_damaged.add()
        return chunk

    def peek(self, position: int, limit: int) -> Chunk:
        """Return the same, and say nothing of damage: whoever reads on from there will."""
        return self._files.read(position, min(limit, self.end), keep_damage=False)

    # ---- whose it is

    @property
    def is_taken(self) -> bool:
        """Whether somebody else has opened the folder, as of the last look."""
        return self.ownership.is_lost

    def look(self) -> bool:
        """Look whether the folder is still ours; tell whether it is. Once lost, it stays so."""
        return self.ownership.look()

    def rename(self, begins: Sequence[int], shared: int) -> None:
        """Go on under a new name, as `Ownership.rename`; what is there stays where it is."""
        self.ownership.rename(begins, shared)
        self.watermarks.forget()
        if self.ownership.is_lost:
            return
        try:
            self._files.rename(bytes.fromhex(self.id), self.next_number)
        except OSError as error:
            self._failed("rename", error)

    # ---- forget

    def release(self, position: int) -> None:
        """All before `position` is published: its files go once they were kept long enough.

        What is behind it is needed again if Redis has lost it, however long ago it was published.
        """
        if len(self._files) > 1 and not self.ownership.is_lost:
            self._files.finish(position)
            # Room comes before history.
            self._drop_finished(older_than_s=0 if self.is_full else self._options.keep_s)

    def _drop_finished(self, older_than_s: float) -> None:
        before = len(self._files)
        try:
            self._files.drop_finished(older_than_s=older_than_s, synced=self.synced)
        finally:
            if len(self._files) < before:
                self.is_full = False

    def close(self) -> None:
        """Sync and close; nothing can be appended afterwards."""
        self._syncer.close()
        self._files.close()
