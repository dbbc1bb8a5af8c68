"""Cursors: where a watcher stands, in a text that it gives back to go on from there. Pure.

A cursor has one place for each shard of the calls that are watched: the epoch of the stream, the
number of the last entry, and its id. The number tells whether anything is missing behind it, the
epoch whether numbers mean the same as before. To clients it is opaque; it grants nothing, since
what is replayed is checked like what is watched.
"""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from gateway.store import keys

_VERSION = b"\x01"
_PLACE = struct.Struct(">B6sQQQ")  # shard, epoch, number, both halves of the id
_EPOCH_BYTES = 6
_END = 2**63  # no stream gets there, and Redis counts no further
_MAX_CHARS = (len(_VERSION) + keys.SHARDS * _PLACE.size) * 4 // 3 + 4


class CursorPlace(NamedTuple):
    """Behind one entry of a shard. `mark` stands for the epoch (`mark_of`)."""

    mark: bytes
    number: int
    id: tuple[int, int]


Cursor = Mapping[int, CursorPlace]  # by shard


@lru_cache(maxsize=64)
def mark_of(epoch: str) -> bytes:
    """Return what stands for an epoch in a cursor: short, and of one length."""
    return blake2b(epoch.encode(), digest_size=_EPOCH_BYTES).digest()


def encode(cursor: Cursor) -> str:
    """Return the text of a cursor: ASCII, safe in URLs and in headers."""
    places = (_PLACE.pack(shard, *cursor[shard][:2], *cursor[shard].id) for shard in sorted(cursor))
    return urlsafe_b64encode(_VERSION + b"".join(places)).rstrip(b"=").decode()


def decode(text: str) -> Cursor | None:
    """Return the cursor that `encode` made; None for anything else.

    A text of another version is not an error of its bearer: it reaches back to nothing.
    """
    packed = _unpadded(text)
    if packed is None or packed[:1] != _VERSION or (len(packed) - 1) % _PLACE.size:
        return None
    cursor: dict[int, CursorPlace] = {}
    for shard, mark, number, ms, seq in _PLACE.iter_unpack(packed[1:]):
        if shard >= keys.SHARDS or shard in cursor or max(number, ms, seq) >= _END:
            return None
        cursor[shard] = CursorPlace(mark, number, (ms, seq))
    return cursor


def _unpadded(text: str) -> bytes | None:
    if len(text) > _MAX_CHARS or not text.isascii():
        return None
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return None
    # The decoder skips what is not of the alphabet: only what we would write counts.
    return packed if urlsafe_b64encode(packed).rstrip(b"=").decode() == text else None
