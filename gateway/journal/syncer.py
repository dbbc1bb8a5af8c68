"""fdatasync, on a thread of its own, so that a slow disk never holds the event loop.

It only syncs; what a failure means is the journal's business. Nobody is told of a sync that
succeeds while nobody waits for one. Under load there is one sync for each rest, however many
records came. `native.syncing` does what the thread does without the interpreter.
"""

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway import native
from gateway.journal.disk import Disk
from gateway.journal.segment import Segment

# Up to here a rest cannot be cut short: sleeping costs a tenth of waiting for a condition.
_SHORT_S = 0.1


class Synced(NamedTuple):
    """One report: all of `segment` before `upto` is on disk, or `error` says why not."""

    segment: Segment
    upto: int
    error: OSError | None


class Syncer:
    """Runs `report` on its own thread; the receiver hops to its loop by itself."""

    def __init__(self, disk: Disk, interval_s: float, report: Callable[[Synced], None]) -> None:
        self._syncing = _syncing(disk, interval_s)
        self._report = report
        self._newest: Segment | None = None
        self._by_descriptor: dict[int, Segment] = {}
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    @property
    def synced(self) -> int:
        """All before it is on disk."""
        return self._syncing.synced

    @property
    def is_awaited(self) -> bool:
        """Whether a sync that succeeds is reported."""
        return self._syncing.is_awaited

    @is_awaited.setter
    def is_awaited(self, value: bool) -> None:
        self._syncing.is_awaited = value

    def mark(self, segment: Segment) -> None:
        """Ask for a sync of what `segment` holds now."""
        if segment is not self._newest:
            self._newest = self._by_descriptor[segment.fd] = segment
            self._syncing.forget(segment.fd)
        self._syncing.mark(segment.fd, segment.end)

    def forget(self, segment: Segment) -> None:
        """Sync it no more: it is about to be closed."""
        self._syncing.forget(segment.fd)

    def close(self) -> None:
        """Sync what is dirty, then end the thread."""
        self._syncing.close()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (found := self._syncing.run()) is not None:
            fd, upto, code = found
            error = OSError(code, os.strerror(code)) if code else None
            self._report(Synced(self._by_descriptor[fd], upto, error))


class Syncing(Protocol):
    """`synced`: all of the journal before it is on disk; `is_awaited`: a sync that succeeds is
    told too.
    """

    is_awaited: bool

    @property
    def synced(self) -> int: ...
    def mark(self, fd: int, end: int, /) -> None:
        """Ask for a sync of this file: then all of the journal before `end` is on disk.

        Means nothing for a file whose sync has failed, during that sync too: pages that the kernel
        has given up would look as if they were on disk. Until it is forgotten nothing else counts
        either, which may be behind it.
        """

    def forget(self, fd: int, /) -> None:
        """Know nothing of this descriptor any more: it is another file's, or about to be closed.
        Nothing counts that comes of a sync under way.
        """

    def run(self) -> tuple[int, int, int] | None:
        """Sync until there is something to tell: a descriptor, up to where, the error (0: none).
        None once closed. For one thread.
        """

    def close(self) -> None:
        """Have it sync what is marked, and no more."""


class PlainSyncing:
    """A `Syncing`; `datasync` raises `OSError`."""

    def __init__(self, interval_s: float, datasync: Callable[[int], None]) -> None:
        self.is_awaited, self.synced = False, 0
        self._interval_s, self._datasync = interval_s, datasync
        self._marked: dict[int, int] = {}
        self._failed = self._current = -1  # descriptors; the latter is being synced
        self._owes_rest = self._is_closed = False
        self._changed = threading.Condition()

    def mark(self, fd: int, end: int, /) -> None:
        with self._changed:
            if fd != self._failed:
                self._marked[fd] = end
            self._changed.notify()

    def forget(self, fd: int, /) -> None:
        with self._changed:
            self._marked.pop(fd, None)
            self._failed = -1 if fd == self._failed else self._failed
            self._current = -1 if fd == self._current else self._current

    def run(self) -> tuple[int, int, int] | None:
        while True:
            self._rest()
            found = self._next()
            if found is None:
                return None
            fd, end = found
            code = self._sync(fd)
            self._owes_rest = True
            if self._is_counted(fd, end, code) and (code or self.is_awaited):
                return fd, end, code

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify()

    def _rest(self) -> None:
        if not self._owes_rest:
            return
        self._owes_rest = False
        if self._interval_s <= _SHORT_S:
            time.sleep(self._interval_s)
            return
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, self._interval_s)

    def _next(self) -> tuple[int, int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._marked or self._is_closed)
            if not self._marked:
                return None
            fd = self._current = next(iter(self._marked))
            return fd, self._marked.pop(fd)

    def _is_counted(self, fd: int, end: int, code: int) -> bool:
        with self._changed:
            if fd != self._current:
                return False
            if code:
                self._failed = fd
                self._marked.pop(fd, None)
            elif self._failed < 0:
                self.synced = max(self.synced, end)
            return True

    def _sync(self, fd: int) -> int:
        try:
            self._datasync(fd)
        except OSError as error:
            return error.errno or errno.EIO
        return 0


def _syncing(disk: Disk, interval_s: float) -> Syncing:
    if native.syncing is not None and type(disk) is Disk:
        return native.syncing(interval_s)
    return PlainSyncing(interval_s, disk.datasync)
