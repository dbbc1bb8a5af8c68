"""What a test run starts ends with it, however it ends: killed, crashed, or timed out.

Every process that is started below this one inherits a mark in its environment. A watchman, a
process of its own, holds the other end of a pipe: once this process is gone the pipe ends, and the
watchman kills whoever still bears the mark. Only on Linux, where /proc tells environments.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

MARK = "GATEWAY_TEST_RUN"


def ends_with_us() -> subprocess.Popen[bytes]:
    """Mark whatever is started from now on, and have it watched; return the watchman.

    It ends, and does its work, when its input is closed.
    """
    mark = secrets.token_hex(8)
    unmarked = {name: text for name, text in os.environ.items() if name != MARK}
    os.environ[MARK] = mark
    return subprocess.Popen(
        [sys.executable, "-IS", __file__, mark],
        stdin=subprocess.PIPE,
        env=unmarked,
        start_new_session=True,  # a Ctrl-C is not for it
    )


def _kill(mark: str) -> None:
    wanted = f"{MARK}={mark}".encode()
    while found := [pid for pid in _processes() if wanted in _environment(pid)]:
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has just ended, or is somebody else's
        return []


if __name__ == "__main__":
    sys.stdin.buffer.read()
    _kill(sys.argv[1])
