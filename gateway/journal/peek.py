"""A look at a journal that this process has not open: who it is, and how much it has written.

Nothing is changed, so another process may have it open, append to it, or open it meanwhile.
"""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.journal import ownership, recovery, segment
from gateway.journal.disk import Disk

_TRIES = 3


class JournalPeek(NamedTuple):
    """`written`: records ever."""

    id: str
    written: int


def look(folder: Path) -> JournalPeek | None:
    """Return what `folder` tells, None when there is no journal. Raises `OSError`."""
    for _ in range(_TRIES - 1):
        with suppress(FileNotFoundError):  # a segment has gone between finding and opening it
            return _look(folder)
    return _look(folder)


def _look(folder: Path) -> JournalPeek | None:
    disk = Disk()
    journal_id, written = b"", 0
    for path in sorted(folder.glob(f"*{segment.SUFFIX}"), reverse=True):
        one, its_id = segment.reopen(disk, path)
        try:
            if not journal_id and not written:
                written = recovery.next_number(disk, one) - 1
            journal_id = its_id
        finally:
            disk.close(one.fd)
        if journal_id:
            return JournalPeek(ownership.named(disk, folder, journal_id.hex()), written)
    return None
