"""What the syncing thread does, all of it but telling: it waits for marks, syncs, and rests.

Under load that is one sync per rest, however many records came. `native.syncing` is the same
without the interpreter.
"""

import errno
import threading
import time
from collections.abc import Callable
from typing import Protocol

# Up to here a rest cannot be cut short: sleeping costs a tenth of waiting for a condition.
_SHORT_S = 0.1


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
