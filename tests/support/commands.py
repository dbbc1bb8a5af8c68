"""Running commands as a person would, each in a thread with an event loop of its own."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner, Result
from support.running_gateway import RunningGateway

from gateway.cli import cli


def run_here(*args: object, env: dict[str, str] | None = None) -> Result:
    """Run a command on this thread, which must have no running loop. Defects surface."""
    result = CliRunner().invoke(cli, [str(arg) for arg in args], prog_name="gateway", env=env)
    defect = result.exception
    if defect is not None and not isinstance(defect, SystemExit):
        raise defect
    return result


async def run(*args: object, env: dict[str, str] | None = None) -> Result:
    """Run a command beside whatever this loop does."""
    return await asyncio.to_thread(lambda: run_here(*args, env=env))


async def command(gateway: RunningGateway, *args: str) -> tuple[int, str]:
    """Run a command as a process, in the gateway's folder; return exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        *args,
        cwd=gateway.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=gateway.environ,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


def write_config(
    folder: Path, *, redis: str = "embedded", more: str = "", names: Iterable[str] = ("sub",)
) -> Path:
    """A configuration whose ports nobody has, with `log` subscribers of these names."""
    subscribers = "".join(f"  - {{name: {name}, kind: log}}\n" for name in names)
    path = folder / "gateway.yaml"
    path.write_text(
        f"apps:\n  - {{api_key: demo-key, secrets: [demo-secret]}}\n"
        f"redis: {{url: {redis}}}\n"
        f"subscribers:\n{subscribers}{more or 'admin: {port: 0}'}\n"
    )
    return path
