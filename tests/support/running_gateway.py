"""The real gateway, as its own process with its own data directory, to use and to hurt."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp
import orjson
import redis.asyncio as aioredis
import yaml
from support.eventually import eventually
from support.ports import free_port

from gateway.embedded import attach

SECRETS = ("demo-secret", "second-secret", "Bearer hidden-token")
APPS = [
    {"api_key": "demo-key", "secrets": ["demo-secret"]},
    {"api_key": "other-key", "secrets": ["second-secret"]},
]


# What systemd does between fork and exec.
_PASSING = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


_WITH_FEW_FILES = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]) // 2, int(sys.argv[1])))
os.execv(sys.argv[2], sys.argv[2:])
"""


class RunningGateway:
    """`config` is what config.yaml holds; ports and the data directory are filled in.

    `listening`: the public port, held open by the test as systemd would; `args`: more for `run`;
    `within`: a command that runs it in other surroundings, by exec;
    `environ`: of the next start, None for ours: another version is found by its PYTHONPATH;
    `files`: so many may be open, once it has raised its limit.
    """

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any],
        *,
        args: tuple[str, ...] = (),
        listening: socket.socket | None = None,
        within: tuple[str, ...] = (),
        files: int | None = None,
    ) -> None:
        self.folder = folder
        self._args, self._listening, self._within = args, listening, within
        self._files = files
        self.port, self.admin_port = free_port(), free_port()
        self.config = {
            "server": {"port": self.port, **config.pop("server", {})},
            "admin": {"port": self.admin_port, **config.pop("admin", {})},
            "data_dir": str(folder / "data"),
            "apps": APPS,
            "log": {"format": "json"},
            **config,
        }
        if listening is not None:
            self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/webhooks/stream"
        self.environ: dict[str, str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log_text(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def write_config(self) -> None:
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))

    async def start(self) -> None:
        """Start it; return once its port is open."""
        ready_before = self._ready_lines()
        self.launch()
        try:
            await eventually(
                lambda: self._ready_lines() > ready_before or self._dead(), within_s=60
            )
        except AssertionError:
            await self.kill()
            raise
        assert not self._dead(), self.log_text

    def launch(self) -> None:
        """Start it, whatever comes of it."""
        self.write_config()
        with (self.folder / "log").open("ab") as out:
            self._process = self._popen(out)

    def _popen(self, out: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "gateway", "run", "--config", "config.yaml", *self._args]
        fds: tuple[int, ...] = ()
        if self._listening is not None:
            fds = (self._listening.fileno(),)
            command = [sys.executable, "-c", _PASSING, str(fds[0]), *command]
        if self._files is not None:
            command = [sys.executable, "-c", _WITH_FEW_FILES, str(self._files), *command]
        return subprocess.Popen(
            [*self._within, *command],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=fds,
            env=self.environ,
        )

    def workers(self) -> dict[int, int]:
        """The process ids of the workers that run, by their numbers."""
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                command = (path / "cmdline").read_bytes().split(b"\0")
                if parent == self.pid and command[2] == b"gateway.app.worker":
                    found[int(command[3])] = int(path.name)
        return found

    def _ready_lines(self) -> int:
        path = self.folder / "log"
        return path.read_text().count('"listening"') if path.exists() else 0

    def _dead(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def is_running(self) -> bool:
        return self._process is not None and not self._dead()

    async def kill(self) -> None:
        """kill -9, as the kernel's out-of-memory killer would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, within_s: float = 60) -> int:
        """Wait until it ends by itself; return the exit code."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, within_s)

    async def stop(self, within_s: float = 60) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self._process.wait, within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def engine_pid(self) -> int | None:
        """The embedded server's process id, None while it is between two lives."""
        lock = self.data / "valkey" / "server.lock"
        text = lock.read_text().strip() if lock.exists() else ""
        return int(text) if text else None

    async def signal_engine(self, number: int) -> int:
        def signalled() -> int | None:
            pid = self.engine_pid()
            with contextlib.suppress(ProcessLookupError):  # it names one that has just ended
                if pid is not None:
                    os.kill(pid, number)
                    return pid
            return None

        found: int = await eventually(signalled)
        return found

    async def redis(self) -> aioredis.Redis:
        url = await eventually(lambda: attach(self.data), within_s=60)
        return aioredis.Redis.from_url(url)

    async def ask(self, path: str, *, status: int = 200) -> Any:
        """GET from the admin listener; None while it does not answer `status`."""
        try:
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{self.admin_port}{path}"
                async with session.get(url) as response:
                    content = await response.read()
                    return orjson.loads(content) if response.status == status else None
        except aiohttp.ClientError:
            return None

    async def metric(self, name: str) -> float:
        """The value of a metric, by its name and labels as they are shown."""
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{self.admin_port}/metrics") as response:
                lines = (await response.text()).splitlines()
        found = [float(line.split()[1]) for line in lines if line.startswith(f"{name} ")]
        if not found and "{" in name:
            return 0.0  # none of these has been counted yet
        return found[0]

    async def is_up(self) -> bool:
        """Whether it publishes."""
        return await self.metric("gateway_stream_up") == 1

    async def up(self) -> None:
        """Wait until it publishes: from then on whoever wants to watch need not wait either."""
        await eventually(self.is_up, within_s=60)

    async def ledger(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await self.ask("/ledger")
        return found

    async def settled(self, within_s: float = 60) -> dict[str, Any]:
        """Wait until nothing waits anywhere; return the ledger, which must balance."""
        ledger = await self._without("unread", "in_flight", "parked", within_s=within_s)
        assert ledger["balanced"], ledger
        return ledger

    async def tried(self, within_s: float = 60) -> dict[str, Any]:
        """Wait until nothing waits but for its next time in the slow lane; return the ledger."""
        return await self._without("unread", "in_flight", within_s=within_s)

    async def _without(self, *waiting: str, within_s: float) -> dict[str, Any]:
        async def done() -> dict[str, Any] | None:
            ledger = await self.ledger()
            if ledger is None or ledger["overall"]["in_journal"]:
                return None
            accounts = ledger["subscribers"].values()
            if any(account["waiting"][what] for account in accounts for what in waiting):
                return None
            # The accounts were read before the totals: what was published between shows now.
            return ledger if await self.ledger() == ledger else None

        found: dict[str, Any] = await eventually(done, within_s=within_s)
        return found


@asynccontextmanager
async def running_gateway(
    folder: Path,
    *,
    args: tuple[str, ...] = (),
    listening: socket.socket | None = None,
    within: tuple[str, ...] = (),
    files: int | None = None,
    **config: Any,
) -> AsyncIterator[RunningGateway]:
    """Start a gateway; stop it at the end, and see that it told no secret."""
    gateway = RunningGateway(
        folder, config, args=args, listening=listening, within=within, files=files
    )
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
        said = gateway.log_text
        for secret in SECRETS:
            assert secret not in said
        assert "Traceback" not in said, said
