"""The real gateway behind a shell script that takes something of the machine away from it first."""

import os
import subprocess
import sys
from contextlib import asynccontextmanager

from support.running_gateway import RunningGateway


def may_mount() -> bool:
    """Whether we may make mounts that nobody else sees."""
    command = ["unshare", "--mount", "true"]
    return os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


class _Within(RunningGateway):
    script = ""

    def _popen(self, out):
        command = [sys.executable, "-m", "gateway", "run", "--config", "config.yaml"]
        return subprocess.Popen(
            ["unshare", "--mount", "sh", "-ec", self.script, "sh", *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )


@asynccontextmanager
async def running_within(folder, script, **config):
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
