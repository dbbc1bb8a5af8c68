"""Segments that claim the same positions: each ends where the next one begins, but its file may
hold more.

Mostly that is what a sync had failed of: it was written anew, at the same positions, into the
next file. It can be more: a rename was lost with the machine's power, or two gateways had the
folder for a moment, on a volume without locks. Records that nothing else holds are found here and
appended anew; should they have been published, they are duplicates.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from gateway.event import Event
from gateway.journal import records
from gateway.journal.disk import Disk
from gateway.journal.records import Record
from gateway.journal.segment import Segment
from gateway.logs import log

_log = logging.getLogger("gateway.journal")


def cut(disk: Disk, segments: Sequence[Segment]) -> list[Record]:
    """Have each of `segments`, in order, end where the next one begins, or before; return the
    records behind that place which no other holds. Raises `OSError`.
    """
    hidden: list[Record] = []
    for index, (one, following) in enumerate(pairwise(segments)):
        if one.end <= following.base:
            continue
        behind = _behind(disk, one, following.base)
        there = set(_all(disk, segments[index + 1 :], upto=one.end))
        found = [each for each in behind if _told(each) not in there and _is_event(each)]
        if found:
            log(
                _log,
                logging.WARNING,
                "two files of the journal claim the same place: what only"
                " one of them holds is appended anew",
                file=str(one.path),
                records=len(found),
            )
        hidden += found
        first = min((each.start for each in behind), default=following.base - one.base)
        one.end = min(following.base, one.base + first)
    return hidden


def forget(disk: Disk, segments: Sequence[Segment]) -> None:
    """Take away what the files hold behind their ends: it was appended anew. Raises `OSError`."""
    for one in segments[:-1]:
        disk.truncate(one.fd, one.offset(one.end))


def _behind(disk: Disk, one: Segment, position: int) -> list[Record]:
    """Return the records of `one` that end behind `position`; their places count from its base."""
    data = disk.read(one.fd, one.data_bytes, one.offset(one.base))
    return [each for each in records.each(data) if one.base + each.end > position]


def _all(disk: Disk, others: Sequence[Segment], upto: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield what stands in those of `others` that begin before `upto`."""
    for one in others:
        if one.base < upto:
            data = disk.read(one.fd, one.data_bytes, one.offset(one.base))
            yield from map(_told, records.each(data))


def _told(record: Record) -> tuple[int, bytes, bytes]:
    return record.number, record.meta, record.body


def _is_event(record: Record) -> bool:
    try:
        Event.restored(record.meta, record.body)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True
