"""Gunzip before anybody is authenticated, so bounded in bytes and in ratio. Pure.

Gzip is recognised by its first two bytes: senders and tunnels set or forget Content-Encoding as
they like, and no JSON begins with these. Only one whole member is accepted: what comes after
it would be bytes that were never signed.
"""

import zlib
from enum import Enum

MAGIC = b"\x1f\x8b"
MAX_RATIO = 100
# Small bodies may be as repetitive as they like.
RATIO_FREE_BYTES = 64 << 10
_GZIP_WINDOW = 31


class Failure(Enum):
    TOO_LARGE = "too large"
    BROKEN = "broken"


def inflate(packed: bytes, max_bytes: int) -> bytes | Failure:
    """Return the content of one gzip member, of at most `max_bytes` and `MAX_RATIO`."""
    limit = min(max_bytes, max(RATIO_FREE_BYTES, MAX_RATIO * len(packed)))
    stream = zlib.decompressobj(_GZIP_WINDOW)
    try:
        content = stream.decompress(packed, limit + 1)
    except zlib.error:
        return Failure.BROKEN
    if len(content) > limit:
        return Failure.TOO_LARGE
    if not stream.eof or stream.unused_data:
        return Failure.BROKEN
    return content
