"""Other processes: stopped for certain."""

import os
import signal
from pathlib import Path

from support.eventually import eventually


async def freeze(pid: int) -> None:
    """SIGSTOP; return once the process does nothing more. SIGCONT has it go on."""
    os.kill(pid, signal.SIGSTOP)
    await eventually(lambda: _is_stopped(pid))


def _is_stopped(pid: int) -> bool:
    """Whether every thread has come to its stop."""
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except OSError:  # one that has just ended
        return False
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)
