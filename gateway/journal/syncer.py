"""fdatasync, on a thread of its own, so that a slow disk never holds the event loop.

It only syncs; what a failure means is the journal's business. Nobody is told of a sync that
succeeds while nobody waits for one.
"""

import os
import threading
from collections.abc import Callable
from typing import NamedTuple

from gateway import native
from gateway.journal.disk import Disk
from gateway.journal.segment import Segment
from gateway.journal.syncing import PlainSyncing, Syncing


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


def _syncing(disk: Disk, interval_s: float) -> Syncing:
    if native.syncing is not None and type(disk) is Disk:
        return native.syncing(interval_s)
    return PlainSyncing(interval_s, disk.datasync)
