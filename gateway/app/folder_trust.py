"""Whether a data directory can be trusted: who else may write into it, and whose it is already.

Where others may write, they can put there what we would take for ours: a journal, the engine's
files. So that is told; but not of a volume that was mounted for us (a container's, with a group of
its own for all who share it), where those others are nobody but us. What belongs to another user
is refused in both.
"""

import logging
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.errors import GatewayError
from gateway.logs import log

_log = logging.getLogger("gateway")
# Whatever we would read, or write into, should it be there.
_OURS = ("gateway.lock", "journal", "subscribers.known", "valkey")
_MOUNTS = Path("/proc/self/mountinfo")
_ROOT = 0


def check_trust(data_dir: Path) -> None:
    """Tell if others can write into `data_dir`, which exists.

    Raises `GatewayError` where they can and something there that we would trust is not ours, and
    OSError where it cannot be looked at.
    """
    if not _others_write(data_dir.stat()):
        return
    for path in _foreign(data_dir / name for name in _OURS):
        raise GatewayError(
            f"{path} belongs to another user (uid {path.lstat().st_uid}), in a data_dir that others"
            " can write into: if it is yours, give it to the gateway's user (chown -R); if not,"
            " name a data_dir that is the gateway's alone"
        )
    if not _is_volume(data_dir):
        log(
            _log,
            logging.WARNING,
            "others can write into data_dir, and what they put there would be taken for ours: take"
            " that right away (chmod go-w)",
            data_dir=str(data_dir),
        )


def _others_write(found: os.stat_result) -> bool:
    """Whether anybody else can, or the members of a group that is not our own."""
    by_group = bool(found.st_mode & stat.S_IWGRP) and found.st_gid != os.getegid()
    return by_group or bool(found.st_mode & stat.S_IWOTH)


def _foreign(paths: Iterator[Path]) -> Iterator[Path]:
    """Yield what is another user's; of a folder that others can write into, also what is in it."""
    for path in paths:
        with suppress(FileNotFoundError):
            found = path.lstat()
            if found.st_uid not in {os.geteuid(), _ROOT}:
                yield path
            elif stat.S_ISDIR(found.st_mode) and _others_write(found):
                yield from _foreign(path.iterdir())


def _is_volume(data_dir: Path) -> bool:
    """Whether it is a mount of its own, for whoever may enter, and no place for everybody's files
    as /tmp is.
    """
    if data_dir.stat().st_mode & stat.S_ISVTX:
        return False
    place = os.path.realpath(data_dir)
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:  # not Linux
        return os.path.ismount(place)
    return any(_unescaped(line.split()[4]) == os.fsencode(place) for line in lines)


def _unescaped(path: bytes) -> bytes:
    for char in b" \t\n\\":
        path = path.replace(b"\\%03o" % char, bytes((char,)))
    return path
