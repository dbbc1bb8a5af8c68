"""Finding the journal again after any end: clean, killed, or power lost.

Only headers and the last segment are read, so that the port opens at once however much is left
over. What does not check is put aside and told, with its place; it never stops the start. Records
that stand behind the place where their file should end are found as well (`overlaps`).
"""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from gateway.event import read_meta
from gateway.journal import overlaps, records, segment
from gateway.journal.disk import Disk
from gateway.journal.records import Record
from gateway.journal.segment import Segment
from gateway.logs import log

_log = logging.getLogger("gateway.journal")


class RecoveredJournal(NamedTuple):
    """What a folder held: its segments in order, and how the journal goes on.

    `journal_id`: what its newest segment says, empty if there is none. `last_ms`: when its last
    record was accepted, Unix ms. `hidden`: records that stand where another file has others, to be
    appended anew.
    """

    journal_id: bytes
    segments: list[Segment]
    next_number: int
    last_ms: int
    hidden: list[Record]


def recover(disk: Disk, folder: Path) -> RecoveredJournal:
    """Open what is in `folder`; an empty one is a new journal. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for unfinished in folder.glob("*.new"):
        disk.remove(unfinished)
    found: list[tuple[Segment, bytes]] = []
    # Of two at one place, what was put aside comes first.
    for path in [*folder.glob(f"*{segment.ASIDE}"), *sorted(folder.glob(f"*{segment.SUFFIX}"))]:
        one, its_id = segment.reopen(disk, path)
        if not its_id:
            log(_log, logging.ERROR, "a journal file has a damaged header", file=str(path))
        found.append((one, its_id))
    found.sort(key=lambda each: each[0].base)
    for one, its_id in found:
        segment.settle(disk, one, its_id)
    segments = _worth_keeping(disk, [one for one, _ in found])
    hidden = overlaps.cut(disk, segments)
    journal_id = next((its_id for _, its_id in reversed(found) if its_id), b"")
    number, last_ms = _ends(disk, segments)
    if hidden:  # files that claim the same place need not stand in the order of their numbers
        lasts = (last_record(disk, one) for one in segments)
        number = max([number, *(last.number + 1 for last in lasts if last is not None)])
    return RecoveredJournal(journal_id, segments, number, last_ms, hidden)


def _worth_keeping(disk: Disk, segments: Sequence[Segment]) -> list[Segment]:
    """Take away those that were put aside and to which nobody has appended."""
    kept = []
    for one in segments:
        if one.path.suffix == segment.SUFFIX or one.data_bytes:
            kept.append(one)
        else:
            disk.close(one.fd)
            disk.remove(one.path)
    return kept


def _ends(disk: Disk, segments: Sequence[Segment]) -> tuple[int, int]:
    """Return the number of the next record, and when the last one was accepted."""
    number = segments[-1].first_number if segments else 1
    for one in reversed(segments):
        last = last_record(disk, one)
        if last is not None:
            if one is segments[-1]:
                number = last.number + 1
            with suppress(msgspec.MsgspecError):
                return number, read_meta(last.meta).accepted_ms
    return number, 0


def keep_damage(disk: Disk, one: Segment, start: int, end: int) -> None:
    """Copy the damaged bytes from `start` to `end` (positions) aside, and say where they are."""
    damaged = one.path.parent / "damaged"
    damaged.mkdir(exist_ok=True, mode=0o700)
    kept = damaged / f"{start:020d}-{end:020d}.bytes"
    kept.write_bytes(disk.read(one.fd, end - start, one.offset(start)))
    log(
        _log,
        logging.ERROR,
        "the journal is torn or damaged",
        file=str(one.path),
        offset=one.offset(start),
        bytes=end - start,
        kept=str(kept),
    )


def next_number(disk: Disk, last: Segment) -> int:
    """Return the number after that of the last record that checks in `last`."""
    record = last_record(disk, last)
    return last.first_number if record is None else record.number + 1


def last_record(disk: Disk, one: Segment) -> Record | None:
    """Return the last record of `one` that checks."""
    data = disk.read(one.fd, one.data_bytes, one.offset(one.base))
    return next(iter(deque(records.each(data), maxlen=1)), None)
