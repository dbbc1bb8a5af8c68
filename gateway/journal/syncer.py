"""fdatasync, on a thread of its own, so that a slow disk never holds the event loop.

It waits until something is dirty, syncs every dirty segment, reports, and rests for the
interval: under load that is one sync per interval, however many records came. It only syncs;
what a failure means is the journal's business.
"""

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import NamedTuple

from gateway.journal.disk import Disk
from gateway.journal.segment import Segment

_SHORT_S = 0.1


class Synced(NamedTuple):
    """One report: all of `segment` before `upto` is on disk, or `error` says why not."""

    segment: Segment
    upto: int
    error: OSError | None


class Syncer:
    """Runs `report` on its own thread; the receiver hops to its loop by itself."""

    def __init__(self, disk: Disk, interval_s: float, report: Callable[[Synced], None]) -> None:
        self._disk, self._interval_s, self._report = disk, interval_s, report
        # What to sync, and the descriptors in it: each once.
        self._marked: SimpleQueue[Segment | None] = SimpleQueue()
        self._dirty: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def mark(self, segment: Segment) -> None:
        """Ask for a sync of what `segment` holds now."""
        if segment.fd not in self._dirty:
            self._dirty.add(segment.fd)
            self._marked.put(segment)

    def close(self) -> None:
        """Sync what is dirty, then end the thread."""
        self._stop.set()
        self._marked.put(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        while (segment := self._marked.get()) is not None:
            # From here on a mark counts anew: it may be for more than this sync covers.
            self._dirty.discard(segment.fd)
            self._report(self._sync(segment))
            self._rest()

    def _rest(self) -> None:
        if self._interval_s <= _SHORT_S:
            time.sleep(self._interval_s)  # a tenth of what waiting for an Event costs
        else:
            self._stop.wait(self._interval_s)

    def _sync(self, segment: Segment) -> Synced:
        upto = segment.end  # what is written later is not covered by this call
        try:
            self._disk.datasync(segment.fd)
        except OSError as error:
            return Synced(segment, upto, error)
        return Synced(segment, upto, None)
