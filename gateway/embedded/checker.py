"""The server's own checkers of its files: the same program, called by another name."""

import re
import subprocess
from contextlib import suppress
from pathlib import Path

from gateway.embedded.scanning import Halt

# Valkey's go by these names too.
_OF_BASES, _OF_INCREMENTS = "redis-check-rdb", "redis-check-aof"
_PATIENCE_S, _LOOK_S = 600.0, 0.2
_GOOD_UPTO = re.compile(rb"ok_up_to=(\d+)")


def is_base_damaged(binary: Path, path: Path, halt: Halt) -> bool:
    """Whether the checker says so. A program that is no checker says nothing. Raises OSError."""
    code, said = _asked(binary, _OF_BASES, path, halt)
    return code != 0 and b"RDB ERROR DETECTED" in said


def good_bytes(binary: Path, path: Path, halt: Halt) -> int | None:
    """Return up to where a file of commands is good; None when it finds nothing wrong."""
    code, said = _asked(binary, _OF_INCREMENTS, path, halt)
    match = _GOOD_UPTO.search(said)
    return int(match[1]) if code and match else None


def _asked(binary: Path, name: str, path: Path, halt: Halt) -> tuple[int, bytes]:
    with subprocess.Popen(  # noqa: S603 - the server's own binary
        [name, path],
        executable=binary,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as checker:
        try:
            for _ in range(int(_PATIENCE_S / _LOOK_S)):
                halt()
                with suppress(subprocess.TimeoutExpired):
                    said = checker.communicate(timeout=_LOOK_S)[0]
                    return checker.returncode, said
        finally:
            checker.kill()
    return 0, b""
