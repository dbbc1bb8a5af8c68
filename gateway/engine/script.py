"""A Lua script, as an engine is told of it.

A script is sent by digest; an engine that has lost it (restart, SCRIPT FLUSH, failover) answers
NOSCRIPT without having run anything, so sending it once more in full is safe. So it is sent from
the first where an engine refuses to be given scripts beforehand (SCRIPT LOAD), as some hosted ones
and some users' rights do.
"""

from collections.abc import Mapping
from hashlib import sha1


class Script:
    """One Lua script: `source` to load, `sha` to call."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: bytes) -> None:
        self.name = name
        self.source = source
        self.sha = sha1(source).hexdigest()  # noqa: S324  # Redis names scripts by SHA-1


_DIGEST = b"$7\r\nEVALSHA\r\n$40\r\n"


def in_full(command: bytes, known: Mapping[bytes, bytes]) -> bytes:
    """Return a packed command that calls one of `known` (digest -> source) with its source in
    place of the digest; any other as it is.
    """
    count, _, rest = command.partition(b"\r\n")
    at = len(_DIGEST)
    source = known.get(rest[at : at + 40]) if rest.startswith(_DIGEST) else None
    if source is None:
        return command
    return b"%b\r\n$4\r\nEVAL\r\n$%d\r\n%b%b" % (count, len(source), source, rest[at + 40 :])
