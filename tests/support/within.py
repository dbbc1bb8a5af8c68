"""The real gateway behind a shell script that takes something of the machine away from it first."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from support.running_gateway import RunningGateway


def may_mount() -> bool:
    """Whether we may make mounts that nobody else sees."""
    command = ["unshare", "--mount", "true"]
    return os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


@contextmanager
def small_disk(size_bytes: int) -> Iterator[Path]:
    """A file system of that size, empty; skips the test where there can be none.

    It is mounted where only one process sees it, which waits, and is reached by that process'
    root. The kernel takes it away when that process has ended and no file of it is open: there is
    nothing to unmount, whatever becomes of the test.
    """
    mount = f"mount -t tmpfs -o size={size_bytes} tmpfs /mnt && echo ready && exec cat"
    own = ["unshare", "--mount", "sh", "-c", mount]
    pipe = subprocess.PIPE
    with subprocess.Popen(own, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as keeper:
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != "ready\n":
            pytest.skip(f"no file system can be mounted here: {keeper.stderr.read().strip()}")
        yield Path(f"/proc/{keeper.pid}/root/mnt")


class _Within(RunningGateway):
    script = ""

    def _popen(self, out: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gateway", "run", "--config", "config.yaml"]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", self.script, "sh", *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


@asynccontextmanager
async def running_within(folder: Path, script: str, **config: Any) -> AsyncIterator[RunningGateway]:
    """Start a gateway by `script`, in mounts of its own; "$@" there is its command, and `data` its
    data directory.
    """
    gateway = _Within(folder, config)
    gateway.script = script
    gateway.data.mkdir(exist_ok=True)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
        assert "Traceback" not in gateway.log_text, gateway.log_text
