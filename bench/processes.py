"""The processes of a run: each pinned to its core, its output in a file, ended by its own pid."""

import http.client
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson
import redis

from gateway.embedded import find_server

_ROOT = Path(__file__).parents[1]  # where `-m bench.load` is found


def free_port() -> int:
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Return so many, none of them twice."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


@contextmanager
def running(
    command: list[str],
    *,
    core: int,
    log: Path,
    pipes: bool = False,
    patience_s: float = 20,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on one core until the block ends: SIGTERM, then SIGKILL.

    `environment`: what it finds in its own beside what is in ours.
    """
    pipe = subprocess.PIPE if pipes else None
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=pipe or subprocess.DEVNULL,
            stdout=pipe or output,
            stderr=output,
            cwd=_ROOT,
            env={**os.environ, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(
    ready: Callable[[], object], what: str, *, within_s: float = 20, every_s: float = 0.005
) -> None:
    """Poll until `ready()` is true. Raises TimeoutError that says `what` did not happen."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if ready():
                return
        except (OSError, redis.ConnectionError, redis.BusyLoadingError):
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s} s: {what}")
        time.sleep(every_s)


class Valkey:
    """The one Valkey of a run, as every contender meets it."""

    def __init__(self, pid: int, path: Path, port: int, core: int) -> None:
        self.pid, self.path, self.url = pid, path, f"unix://{path}"
        self.port, self.core = port, core  # the port is for a replica
        self.client: Any = redis.Redis(unix_socket_path=str(path), protocol=2)

    def empty(self) -> None:
        # Without SYNC it answers at once and frees in the background, on the next round's time.
        self.client.execute_command("FLUSHALL", "SYNC")

    def sync(self, how: str) -> None:
        """Set when the append-only file is synced: `everysec` or `always`."""
        self.client.config_set("appendfsync", how)


@contextmanager
def valkey(folder: Path, *, core: int) -> Iterator[Valkey]:
    """Run the gateway's own choice of server, with the append-only file of its defaults."""
    port = free_port()
    settings = {
        "port": str(port),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "auto-aof-rewrite-percentage": "0",  # a fork in the middle of somebody's round
        "repl-backlog-ttl": "1",  # nobody pays for a replica that was there before
    }
    with _server(folder, settings, core=core) as (process, path):
        server = Valkey(process.pid, path, port, core)
        wait_until(server.client.ping, "Valkey answers")
        yield server


@contextmanager
def replica(folder: Path, of: Valkey) -> Iterator[None]:
    """Run a replica beside `of`, in memory, from when it has all until the block ends."""
    master = ("127.0.0.1", str(of.port))
    settings = {"port": "0", "appendonly": "no"}
    with _server(folder, {**settings, "replicaof": master}, core=of.core):
        wait_until(lambda: _first_replica(of).get("state") == "online", "a replica has all")
        yield


def _first_replica(of: Valkey) -> dict[str, Any]:
    found: dict[str, Any] = of.client.info("replication").get("slave0", {})
    return found


@contextmanager
def _server(
    folder: Path, settings: Mapping[str, str | tuple[str, ...]], *, core: int
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    folder.mkdir()
    path = folder / "valkey.sock"
    common: Mapping[str, str | tuple[str, ...]]
    common = {"bind": "127.0.0.1", "unixsocket": str(path), "dir": str(folder), "save": ""}
    command = [str(find_server(os.environ))]
    for key, value in {**common, **settings}.items():
        command += [f"--{key}", *([value] if isinstance(value, str) else value)]
    with running(command, core=core, log=folder / "log") as process:
        yield process, path


class Load:
    """The load generator's process."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._orders, self._reports = process.stdin, process.stdout

    def __call__(self, **order: object) -> dict[str, Any]:
        self._orders.write(orjson.dumps(order) + b"\n")
        self._orders.flush()
        line = self._reports.readline()
        if not line:
            raise RuntimeError("the load generator gave up: see its log")
        report: dict[str, Any] = orjson.loads(line)
        return report


@contextmanager
def load(folder: Path, *, core: int) -> Iterator[Load]:
    command = [sys.executable, "-m", "bench.load"]
    with running(command, core=core, log=folder / "load.log", pipes=True) as process:
        yield Load(process)


def post(port: int, request: bytes, authority: str = "") -> int:
    """Send one rendered request on a connection of its own and return its status.

    `authority`: over TLS, trusting this certificate authority.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        connection = plain
        if authority:
            context = ssl.create_default_context(cafile=authority)
            connection = context.wrap_socket(plain, server_hostname="127.0.0.1")
        connection.sendall(request)
        with connection.makefile("rb") as answer:
            return int(answer.readline().split()[1])


def get(port: int, path: str) -> str:
    """Fetch one text from a listener of ours. Raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
