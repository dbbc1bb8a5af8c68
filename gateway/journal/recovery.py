"""Finding the journal again after any end: clean, killed, or power lost.

Only headers and the last segment are read, so that the port opens at once however much is left
over. What does not check is put aside and told, with its place; it never stops the start.
"""

import logging
import os
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from gateway.journal import records, segment
from gateway.journal.disk import Disk
from gateway.journal.segment import Segment
from gateway.logs import log

_log = logging.getLogger("gateway.journal")


class Found(NamedTuple):
    """What a folder held: its segments in order, and how the journal goes on."""

    journal_id: bytes
    segments: list[Segment]
    next_number: int


def recover(disk: Disk, folder: Path) -> Found:
    """Open what is in `folder`; an empty one is a new journal. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for unfinished in folder.glob("*.new"):
        disk.remove(unfinished)
    found: list[Segment] = []
    journal_id = b""
    for path in sorted(folder.glob(f"*{segment.SUFFIX}")):
        one, its_id = segment.reopen(disk, path)
        if not its_id:
            log(_log, logging.ERROR, "a journal file has a damaged header", file=str(path))
        journal_id = its_id or journal_id
        found.append(one)
    for one, following in pairwise(found):
        one.end = min(one.end, following.base)
    number = next_number(disk, found[-1]) if found else 1
    return Found(journal_id or os.urandom(16), found, number)


def keep_damage(disk: Disk, one: Segment, start: int, end: int) -> None:
    """Copy the damaged bytes from `start` to `end` (positions) aside, and say where they are."""
    damaged = one.path.parent / "damaged"
    damaged.mkdir(exist_ok=True, mode=0o700)
    kept = damaged / f"{start:020d}-{end:020d}.bytes"
    kept.write_bytes(disk.read(one.fd, end - start, one.offset(start)))
    log(
        _log, logging.ERROR, "the journal is torn or damaged", file=str(one.path),
        offset=one.offset(start), bytes=end - start, kept=str(kept),
    )  # fmt: skip


def next_number(disk: Disk, last: Segment) -> int:
    """Return the number after that of the last record that checks in `last`."""
    buffer = disk.read(last.fd, last.data_bytes, last.offset(last.base))
    number, offset = last.first_number, 0
    while offset < len(buffer):
        record = records.decode(buffer, offset)
        if record is None:
            following = records.next_magic(buffer, offset + 1)
            if following is None:
                break
            offset = following
        else:
            number, offset = record.number + 1, record.end
    return number
