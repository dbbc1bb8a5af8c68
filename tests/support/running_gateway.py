"""The real gateway, as its own process with its own data directory, to use and to hurt."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import redis.asyncio as aioredis
import yaml
from support.eventually import eventually

from gateway.embedded import attach

SECRETS = ("demo-secret", "second-secret", "Bearer hidden-token")
APPS = [
    {"api_key": "demo-key", "secrets": ["demo-secret"]},
    {"api_key": "other-key", "secrets": ["second-secret"]},
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RunningGateway:
    """`config` is what config.yaml holds; ports and the data directory are filled in."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.folder = folder
        self.port, self.admin_port = free_port(), free_port()
        self.config = {
            "server": {"port": self.port, **config.pop("server", {})},
            "admin": {"port": self.admin_port},
            "data_dir": str(folder / "data"),
            "apps": APPS,
            "log": {"format": "json"},
            **config,
        }
        self.url = f"http://127.0.0.1:{self.port}/webhooks/stream"
        self._process: subprocess.Popen | None = None
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

    async def start(self) -> None:
        """Start it; return once its port is open."""
        (self.folder / "config.yaml").write_text(yaml.safe_dump(self.config))
        ready_before = self._ready_lines()
        with (self.folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "run", "--config", "config.yaml"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        await eventually(lambda: self._ready_lines() > ready_before or self._dead(), within_s=20)
        assert self._process.poll() is None, self.log_text

    def _ready_lines(self) -> int:
        path = self.folder / "log"
        return path.read_text().count('"listening"') if path.exists() else 0

    def _dead(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    async def kill(self) -> None:
        """kill -9, as the kernel's out-of-memory killer would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(self._process.wait)

    def send_signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, within_s: float = 30) -> int:
        """Wait until it ends by itself; return the exit code."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, within_s)

    async def stop(self, within_s: float = 30) -> int:
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
        text = (self.data / "valkey" / "server.lock").read_text().strip()
        return int(text) if text else None

    async def signal_engine(self, number: int) -> int:
        def signalled() -> int | None:
            pid = self.engine_pid()
            with contextlib.suppress(ProcessLookupError):  # it names one that has just ended
                if pid is not None:
                    os.kill(pid, number)
                    return pid
            return None

        return await eventually(signalled)

    async def redis(self) -> aioredis.Redis:
        url = await eventually(lambda: attach(self.data))
        return aioredis.Redis.from_url(url)

    async def ask(self, path: str) -> Any:
        """GET from the admin listener; None while it does not answer 200."""
        try:
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{self.admin_port}{path}"
                async with session.get(url) as response:
                    content = await response.read()
                    return orjson.loads(content) if response.status == 200 else None
        except aiohttp.ClientError:
            return None

    async def metric(self, name: str) -> float:
        """The value of a metric without labels."""
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{self.admin_port}/metrics") as response:
                lines = (await response.text()).splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    async def is_up(self) -> bool:
        """Whether it publishes."""
        return await self.metric("gateway_stream_up") == 1

    async def ledger(self) -> dict[str, Any] | None:
        return await self.ask("/ledger")

    async def settled(self, within_s: float = 60) -> dict[str, Any]:
        """Wait until nothing waits anywhere; return the ledger, which must balance."""

        async def done():
            ledger = await self.ledger()
            if ledger is None or ledger["overall"]["in_journal"]:
                return None
            accounts = ledger["subscribers"].values()
            if any(sum(account["waiting"].values()) for account in accounts):
                return None
            # The accounts were read before the totals: what was published between shows now.
            return ledger if await self.ledger() == ledger else None

        ledger = await eventually(done, within_s=within_s)
        assert ledger["balanced"], ledger
        return ledger


@asynccontextmanager
async def running_gateway(folder: Path, **config: Any):
    """Start a gateway; stop it at the end, and see that it told no secret."""
    gateway = RunningGateway(folder, config)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()
        said = gateway.log_text
        for secret in SECRETS:
            assert secret not in said
        assert "Traceback" not in said, said
