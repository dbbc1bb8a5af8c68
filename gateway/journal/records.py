"""The journal's record: header, meta, body. Pure.

    offset  size  field
    0       4     magic "GWR1": a place to start again behind damage
    4       4     CRC-32 of everything that follows
    8       8     number of the record, contiguous from 1 over the journal's whole life
    16      4     length of meta
    20      4     length of body
    24            meta, body

Integers are little-endian. What does not check is damage, never an exception: a reader says
where it is, skips to the next magic that checks, and goes on.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from gateway.event import Event, Stored
from gateway.journal.stretch import PlainStretch

MAGIC = b"GWR1"
_TAIL = Struct("<QII")
_CRC = Struct("<I")
HEADER_BYTES = len(MAGIC) + _CRC.size + _TAIL.size
# No record is longer: a length beyond this is damage, not a reason to look for the end.
MAX_RECORD_BYTES = 64 << 20


class Record(NamedTuple):
    """A record read back. `end` is where the next one starts, in the same measure as `start`."""

    start: int
    end: int
    number: int
    meta: bytes
    body: bytes


def encode(number: int, meta: bytes, body: bytes) -> bytes:
    """Return one record, ready to be written."""
    tail = _TAIL.pack(number, len(meta), len(body))
    crc = crc32(body, crc32(meta, crc32(tail)))
    return b"".join((MAGIC, _CRC.pack(crc), tail, meta, body))


def encode_all(events: Sequence[Event], number: int, start: int) -> tuple[bytes, PlainStretch]:
    """Return `events` as records in one piece, the first of them the `number`th and at position
    `start`, and where each of them stands.
    """
    encoded = [encode(number + index, event.meta, event.body) for index, event in enumerate(events)]
    stored = PlainStretch()
    for index, (event, record) in enumerate(zip(events, encoded, strict=True)):
        end = start + len(record)
        stored.append(Stored(start, end, number + index, event))
        start = end
    return b"".join(encoded), stored


def decode(buffer: bytes, offset: int) -> Record | None:
    """Return the record at `offset` of `buffer`, or None if none checks there.

    None is also the answer for a record that goes on beyond the buffer: a caller that reads in
    windows asks `extent` first.
    """
    body_start = offset + HEADER_BYTES
    if buffer[offset : offset + 4] != MAGIC or body_start > len(buffer):
        return None
    number, meta_length, body_length = _TAIL.unpack_from(buffer, offset + 8)
    middle, end = body_start + meta_length, body_start + meta_length + body_length
    if end > len(buffer):
        return None
    (crc,) = _CRC.unpack_from(buffer, offset + 4)
    if crc32(memoryview(buffer)[offset + 8 : end]) != crc:
        return None
    return Record(offset, end, number, buffer[body_start:middle], buffer[middle:end])


def each(buffer: bytes) -> Iterator[Record]:
    """Yield every record of `buffer` that checks, past any damage."""
    offset = 0
    while offset < len(buffer):
        record = decode(buffer, offset)
        if record is not None:
            yield record
            offset = record.end
        elif (following := next_magic(buffer, offset + 1)) is not None:
            offset = following
        else:
            return


def extent(header: bytes) -> int | None:
    """Return the length of the record that starts with `header`; None if it starts none."""
    if len(header) < HEADER_BYTES or header[:4] != MAGIC:
        return None
    _, meta_length, body_length = _TAIL.unpack_from(header, 8)
    length: int = HEADER_BYTES + meta_length + body_length
    return length if length <= MAX_RECORD_BYTES else None


def next_magic(buffer: bytes, offset: int) -> int | None:
    """Return where the next record that checks may start, after `offset`; None if nowhere."""
    found = buffer.find(MAGIC, offset)
    return found if found >= 0 else None
