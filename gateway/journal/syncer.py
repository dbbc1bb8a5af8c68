"""fdatasync, on a thread of its own, so that a slow disk never holds the event loop.

It waits until something is dirty, syncs every dirty segment, reports, and rests for the
interval: under load that is one sync per interval, however many records came. It only syncs;
what a failure means is the journal's business.
"""

import threading
from collections.abc import Callable
from typing import NamedTuple

from gateway.journal.disk import Disk
from gateway.journal.segment import Segment


class Synced(NamedTuple):
    """One report: all of `segment` before `upto` is on disk, or `error` says why not."""

    segment: Segment
    upto: int
    error: OSError | None


class Syncer:
    """Runs `report` on its own thread; the receiver hops to its loop by itself."""

    def __init__(
        self, disk: Disk, interval_s: float, report: Callable[[list[Synced]], None]
    ) -> None:
        self._disk, self._interval_s, self._report = disk, interval_s, report
        self._dirty: dict[int, Segment] = {}
        self._lock = threading.Lock()
        self._wake, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def mark(self, segment: Segment) -> None:
        """Ask for a sync of what `segment` holds now."""
        with self._lock:
            self._dirty[segment.fd] = segment
        self._wake.set()

    def close(self) -> None:
        """Sync what is dirty, then end the thread."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while not (self._stop.is_set() and not self._dirty):
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                dirty, self._dirty = list(self._dirty.values()), {}
            if dirty:
                self._report([self._sync(segment) for segment in dirty])
            self._stop.wait(self._interval_s)

    def _sync(self, segment: Segment) -> Synced:
        upto = segment.end  # what is written later is not covered by this call
        try:
            self._disk.datasync(segment.fd)
        except OSError as error:
            return Synced(segment, upto, error)
        return Synced(segment, upto, None)
