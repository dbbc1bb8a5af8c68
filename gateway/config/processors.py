"""How many processors this process may use, which in a container is not how many there are.

A container, or a unit with a quota, sees all processors of its machine and gets the time of some.
Linux tells in the files of its control groups (cgroups(7), version 2, or 1): a quota of each
period, of our own group or of any above it.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_OWN, _MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


def processors(own: Path = _OWN, mount: Path = _MOUNT) -> int:
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
    for folder in _groups(own, mount):
        with suppress(OSError, ValueError):
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota), int(period)  # or "max", which is no number
        with suppress(OSError, ValueError):
            files = (folder / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
            quota_us, period_us = (int(file.read_text()) for file in files)
            if quota_us > 0:
                yield quota_us, period_us


def _groups(own: Path, mount: Path) -> Iterator[Path]:
    """Yield the folders of our groups and of those above them."""
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "cpu" not in controllers.split(","):
                continue
            root = mount / "cpu" if controllers else mount
            # Within a container's own view the files may be at the root, whatever `path` says.
            inside = root / path.lstrip("/")
            yield from (one for one in (inside, *inside.parents) if one.is_relative_to(root))
