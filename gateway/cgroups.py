"""What control groups say that bounds us (cgroups(7), version 2, or 1), on Linux.

A container, or a unit with a limit, sees its whole machine and gets a part of it. A bound may be
set in our own group, or in any above it.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

OWN, MOUNT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
_NO_BOUND = 1 << 60  # version 1 has a number for it, which is larger than any machine


def memory_limit_bytes(own: Path = OWN, mount: Path = MOUNT) -> int | None:
    """Return how much memory we and all beside us may use, None where nothing bounds it."""
    found = []
    for folder in groups("memory", own, mount):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # or "max", which is no number
                found.append(int((folder / name).read_text()))
    return min((limit for limit in found if 0 < limit < _NO_BOUND), default=None)


def groups(controller: str, own: Path = OWN, mount: Path = MOUNT) -> Iterator[Path]:
    """Yield the folders of our groups and of those above them, as far as they are about that."""
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            root = mount / controller if controllers else mount
            # Within a container's own view the files may be at the root, whatever `path` says.
            inside = root / path.lstrip("/")
            yield from (one for one in (inside, *inside.parents) if one.is_relative_to(root))
