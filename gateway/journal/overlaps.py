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
    """Have each of `segments`, in order, end where the next one begins; return the records behind
    that place which no other holds. Raises `OSError`.
    """
    hidden: list[Record] = []
    for index, (one, following) in enumerate(pairwise(segments)):
        if one.end > following.base:
            found = list(_hidden(disk, one, segments[index + 1 :]))
            if found:
                log(
                    _log, logging.WARNING, "two files of the journal claim the same place: what"
                    " only one of them holds is appended anew", file=str(one.path),
                    records=len(found),
                )  # fmt: skip
            hidden += found
            one.end = following.base
    return hidden


def forget(disk: Disk, segments: Sequence[Segment]) -> None:
    """Take away what the files hold behind their ends: it was appended anew. Raises `OSError`."""
    for one in segments[:-1]:
        disk.truncate(one.fd, one.offset(one.end))


def _hidden(disk: Disk, one: Segment, others: Sequence[Segment]) -> Iterator[Record]:
    """Yield what `one` holds from where the first of `others` begins, and these do not."""
    begin = others[0].base
    data = disk.read(one.fd, one.end - begin, one.offset(begin))
    there = {
        (record.number, record.meta, record.body)
        for other in others
        if other.base < one.end
        for record in records.each(disk.read(other.fd, other.data_bytes, other.offset(other.base)))
    }
    for record in records.each(data):
        if (record.number, record.meta, record.body) not in there and _is_event(record):
            yield record


def _is_event(record: Record) -> bool:
    try:
        Event.restored(record.meta, record.body)
    except (msgspec.MsgspecError, ValueError):
        return False
    return True
