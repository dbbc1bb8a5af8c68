"""How many processors this process may use, which in a container is not how many there are.

A container, or a unit with a quota, sees all processors of its machine and gets the time of some:
of each period a quota (`gateway.cgroups`).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.cgroups import MOUNT, OWN, groups


def processors(own: Path = OWN, mount: Path = MOUNT) -> int:
    """Return how many, at least 1; a part of one counts as a whole."""
    found = _visible()
    for quota, period in _quotas(own, mount):
        found = min(found, max(1, -(-quota // period)))
    return found


def _visible() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(own: Path, mount: Path) -> Iterator[tuple[int, int]]:
    """Yield quotas and periods, in microseconds, of all groups that bound us."""
    for folder in groups("cpu", own, mount):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota), int(period)  # or "max", which is no number
        with suppress(OSError, ValueError):
            files = (folder / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
            quota_us, period_us = (int(file.read_text()) for file in files)
            if quota_us > 0:
                yield quota_us, period_us
