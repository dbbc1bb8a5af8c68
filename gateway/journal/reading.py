"""Reading the journal back from its files, in bounded pieces, past any damage."""

from typing import NamedTuple

import msgspec

from gateway import native
from gateway.event import Event, Stored, Stretch
from gateway.journal import records, recovery
from gateway.journal.disk import Disk
from gateway.journal.segment import Segment
from gateway.journal.stretch import PlainStretch

WINDOW_BYTES = 256 << 10


class Chunk(NamedTuple):
    """Events in journal order, and the position from which to read on.

    `damage` counts the places that were skipped: a chunk may hold damage alone.
    """

    stored: Stretch
    upto: int
    damage: int = 0


def read_segment(
    disk: Disk, one: Segment, position: int, limit: int, *, keep_damage: bool = True
) -> Chunk:
    """Read about a window from `position` on, not beyond `limit`. Raises `OSError`.

    `keep_damage`: damage is put aside and told.
    """
    end = min(one.end, limit)
    length = min(WINDOW_BYTES, end - position)
    buffer = disk.read(one.fd, length, one.offset(position))
    needed = records.extent(buffer[: records.HEADER_BYTES])
    if needed is not None and length < needed <= end - position:
        buffer = disk.read(one.fd, needed, one.offset(position))
    stored = _some(buffer, position)
    if stored:
        return Chunk(stored, stored.end)
    if not buffer:
        return Chunk(stored, position)
    resume = _next_record(disk, one, position, end)
    if keep_damage:
        recovery.keep_damage(disk, one, position, resume)
    return Chunk(stored, resume, damage=1)


def _some(buffer: bytes, position: int) -> Stretch:
    """Return what `buffer` begins with; nothing where its first record is not whole or does not
    check.
    """
    if native.decode is not None and (found := native.decode(buffer, 0, position)):
        return found  # type: ignore[no-any-return]
    stored = PlainStretch()
    offset = 0
    while one := _stored(buffer, offset, position):
        stored.append(one)
        offset = one.end - position
    return stored


def _stored(buffer: bytes, offset: int, position: int) -> Stored | None:
    record = records.decode(buffer, offset)
    if record is None:
        return None
    try:
        event = Event.restored(record.meta, record.body)
    except (msgspec.MsgspecError, ValueError):
        return None  # whole, but nothing that this version wrote: damage as well
    return Stored(position + record.start, position + record.end, record.number, event)


def _next_record(disk: Disk, one: Segment, position: int, end: int) -> int:
    """Return where the next record that checks begins, or `end`."""
    buffer = disk.read(one.fd, end - position, one.offset(position))
    following = records.next_magic(buffer, 1)
    while following is not None and _stored(buffer, following, position) is None:
        following = records.next_magic(buffer, following + 1)
    return end if following is None else position + following
