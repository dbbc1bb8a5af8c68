"""Entries of the streams: their ids, and what a script answers of them. Pure."""

from typing import Any, NamedTuple

Id = tuple[int, int]  # Unix ms and a number within it; they compare as Redis compares ids
NOTHING: Id = (0, 0)


def parse_id(entry_id: bytes) -> Id:
    """Return an entry's id as two numbers."""
    ms, _, seq = entry_id.partition(b"-")
    return int(ms), int(seq)


class Entry(NamedTuple):
    """One entry of the stream, as read."""

    id: bytes
    meta: bytes
    body: bytes


def read_entries(reply: Any) -> list[Entry]:
    """Read entries as XRANGE gives them: id, then n, o, m and b, each name before its value.

    One that somebody else wrote, with other fields, has an empty meta.
    """
    try:
        return [Entry(entry[0], entry[1][5], entry[1][7]) for entry in reply]
    except IndexError:
        return [
            Entry(entry[0], *(entry[1][5:8:2] if len(entry[1]) >= 8 else (b"", b"")))
            for entry in reply
        ]
