"""Control groups: as a process finds them, in files of a test's own; and a real one."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway.cgroups import groups


def mounted(folder: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """Write what says which group is ours, and the groups' files; return where either is."""
    (folder / "own").write_text(own)
    for name, text in files.items():
        path = folder / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "own", folder / "mount"


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A control group below ours, with that limit; skips where there can be none."""
    own = next(groups("memory"), Path("/sys/fs/cgroup"))
    try:
        group = Path(tempfile.mkdtemp(prefix="gateway-test-", dir=own))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    try:
        is_v1 = (group / "memory.limit_in_bytes").exists()
        (group / ("memory.limit_in_bytes" if is_v1 else "memory.max")).write_text(str(limit_bytes))
    except OSError as error:
        group.rmdir()
        pytest.skip(f"no control group can bound memory here: {error}")
    try:
        yield group
    finally:
        _remove(group)


def _remove(group: Path, within_s: float = 60) -> None:
    """Kill who is still in it: a group that is not empty stays."""
    deadline = time.monotonic() + within_s
    while True:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            return group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)
