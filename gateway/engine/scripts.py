"""The Lua scripts: each a file in `lua/`, whose opening comment is its contract.

A script is sent by digest; an engine that has lost it (restart, SCRIPT FLUSH, failover) answers
NOSCRIPT without having run anything, so sending it once more in full is safe. So it is sent from
the first where an engine refuses to be given scripts beforehand (SCRIPT LOAD), as some hosted ones
and some users' rights do.

All are read at the start: later there may be no file left to open.
"""

from collections.abc import Mapping
from functools import cache
from hashlib import sha1
from pathlib import Path

_FOLDER = Path(__file__).with_name("lua")


class Script:
    """One Lua script: `source` to load, `sha` to call."""

    __slots__ = ("name", "sha", "source")

    def __init__(self, name: str, source: bytes) -> None:
        self.name = name
        self.source = source
        self.sha = sha1(source).hexdigest()  # noqa: S324  # Redis names scripts by SHA-1


_SCRIPTS = {path.stem: Script(path.stem, path.read_bytes()) for path in _FOLDER.glob("*.lua")}


def script(name: str) -> Script:
    """Return the script in `lua/<name>.lua`. Raises `KeyError` for an unknown one."""
    return _SCRIPTS[name]


@cache
def joined(name: str) -> Script:
    """Return the script that does for many shards, in one call, what `name` does for one."""
    one, many = script(name).source, script("joined").source
    return Script(f"{name}, joined", b"local function run(KEYS, ARGV)\n" + one + b"end\n" + many)


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
