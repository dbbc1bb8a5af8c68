"""Who is compared: how each is started at its best, and where it keeps what it acknowledged.

To the bench a contender is a port, a pid, and a stream (or several) whose length must equal the
acknowledged requests. A new one is a class with these, and a line in the scenario. What it runs
on comes from `provision`, which raises `Missing` where it cannot be had.
"""

import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Any, Protocol

import orjson
import trustme

from bench import provision
from bench.load import webhooks
from bench.processes import Valkey, free_port, get, post, running, wait_until
from gateway.stream import keys

Buckets = list[tuple[float, float]]
STREAM = "events"  # where the peers keep theirs


class Running:
    """A started contender. `pid` is the root of its processes."""

    stores = True  # else it only answers: nothing of its work can be checked
    authority = ""  # file of the certificate authority, if it speaks TLS

    def __init__(self, pid: int, port: int, valkey: Valkey, streams: list[str], field: bytes):
        self.pid, self.port = pid, port
        self._redis, self._streams, self._field = valkey.client, streams, field

    def stored(self) -> int:
        """Return how many events it has in Redis."""
        pipeline = self._redis.pipeline(transaction=False)
        for stream in self._streams:
            pipeline.xlen(stream)
        return sum(pipeline.execute())

    def some_body(self) -> bytes:
        """Return the body of one of the last entries of a random stream that has any."""
        stream = random.choice([s for s in self._streams if self._redis.xlen(s)])
        entries = self._redis.xrevrange(stream, count=random.randint(1, 200))
        body: bytes = entries[-1][1][self._field]
        return body

    def settle(self, stored: int) -> None:
        """Wait until the work behind the answers is done as well."""
        wait_until(lambda: self.stored() >= stored, f"{stored} events in Redis", within_s=60)

    def ack_buckets(self) -> Buckets:
        """Return its own histogram of ack times, cumulative; empty if it has none."""
        return []


class RunningGateway(Running):
    admin_port: int

    def settle(self, stored: int) -> None:
        super().settle(stored)
        wait_until(
            lambda: "\ngateway_journal_waiting 0" in get(self.admin_port, "/metrics"),
            "an empty journal",
            every_s=0.02,
        )

    def ack_buckets(self) -> Buckets:
        found = []
        for line in get(self.admin_port, "/metrics").splitlines():
            if line.startswith('gateway_ack_seconds_bucket{le="'):
                bound, _, count = line.partition('le="')[2].partition('"} ')
                found.append((float(bound), float(count)))
        return found


class _RunningCeiling(Running):
    stores = False

    def stored(self) -> int:
        return 0

    def settle(self, stored: int) -> None:
        pass


class Contender(Protocol):
    """`name` for the command line, `shown` for the table. `start` may raise `Missing`."""

    name: str
    shown: str

    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Any: ...


def _ready(contender: Running, process: Popen[bytes], status: int = 401) -> Running:
    """Wait until it refuses a forged request, the cheapest proof that it is up and verifies."""
    forged = webhooks.request(webhooks.body("warm", 0, 1024), 0, forged=True)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: see its log")
        return post(contender.port, forged, contender.authority) == status

    wait_until(answers, f"a forged request is answered {status}", every_s=0.05)
    return contender


class Peer:
    """A program that takes port, Redis, secret and path as `command` puts them."""

    def __init__(self, name: str, shown: str, command: Callable[[int, Valkey], list[str]]) -> None:
        self.name, self.shown, self._command = name, shown, command

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[Running]:
        port = free_port()
        command = [*self._command(port, valkey), webhooks.SECRET, webhooks.PATH]
        with running(command, core=core, log=folder / f"{self.name}.log") as process:
            yield _ready(Running(process.pid, port, valkey, [STREAM], b"body"), process)


def _module(name: str, needs: str) -> Callable[[int, Valkey], list[str]]:
    def command(port: int, valkey: Valkey) -> list[str]:
        provision.python_package(needs)
        return [sys.executable, "-m", f"bench.peers.{name}", "127.0.0.1", str(port), valkey.url]

    return command


def _bun(port: int, valkey: Valkey) -> list[str]:
    script = str(provision.npm_packages() / "bun.js")
    return [str(provision.bun()), script, "127.0.0.1", str(port), f"redis+{valkey.url}"]


def _fastify(port: int, valkey: Valkey) -> list[str]:
    script = str(provision.npm_packages() / "fastify.js")
    return [str(provision.node()), script, "127.0.0.1", str(port), str(valkey.path)]


def _reference(port: int, valkey: Valkey) -> list[str]:
    return [str(provision.compiled("peers/reference.c")), str(port), str(valkey.path)]


class Nginx:
    """A ceiling: it takes the request and answers. It checks and stores nothing."""

    name, shown = "nginx", "nginx `return 200` (no check, no store)"

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[Running]:
        port, program = free_port(), provision.nginx()
        (folder / "nginx.conf").write_text(
            "daemon off; worker_processes 1; pid nginx.pid; error_log error.log;\n"
            "events { worker_connections 2048; }\n"
            "http { access_log off; keepalive_requests 1000000000; client_body_temp_path body;\n"
            "  proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
            f'  server {{ listen 127.0.0.1:{port}; location / {{ return 200 ""; }} }} }}\n'
        )
        command = [str(program), "-p", str(folder), "-c", "nginx.conf"]
        with running(command, core=core, log=folder / "nginx.log") as process:
            yield _ready(_RunningCeiling(process.pid, port, valkey, [], b""), process, 200)


class Gateway:
    """`gateway run` as installed, with a configuration and an empty `data_dir` of its own.

    `more` is merged over that configuration, section by section. `feed`: with the feed and Stream's
    client API, which read every event once more to keep the state of its call.
    """

    def __init__(
        self,
        ack: str,
        *,
        tls: bool = False,
        feed: bool = False,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.ack, self._tls, self._feed, self._more = ack, tls, feed, more or {}
        self.name = f"gateway-{ack}" + ("-tls" if tls else "") + ("-feed" if feed else "")
        self.shown = f"gateway, ack: {ack}" + (", TLS" if tls else "") + (", feed" if feed else "")

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[RunningGateway]:
        port, admin_port = free_port(), free_port()
        authority = _certificate(folder) if self._tls else ""
        path = folder / "config.yaml"
        path.write_bytes(orjson.dumps(self._config(folder, valkey, port, admin_port)))
        command = [str(Path(sys.executable).with_name("gateway")), "run", "--config", str(path)]
        with running(command, core=core, log=folder / f"{self.name}.log") as process:
            streams = [keys.events(shard) for shard in range(keys.SHARDS)]
            gateway = RunningGateway(process.pid, port, valkey, streams, b"b")
            gateway.admin_port, gateway.authority = admin_port, authority
            _ready(gateway, process)
            yield gateway

    def _config(self, folder: Path, valkey: Valkey, port: int, admin_port: int) -> dict[str, Any]:
        server: dict[str, Any] = {"port": port}
        if self._tls:
            server["tls"] = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
        config: dict[str, Any] = {
            "server": server,
            "admin": {"port": admin_port},
            "data_dir": str(folder / "data"),
            "apps": [{"api_key": webhooks.APP, "secrets": [webhooks.SECRET]}],
            "redis": {"url": valkey.url},
            "ingest": {"path": webhooks.PATH, "ack": self.ack},
            "feed": {"enabled": self._feed},
            "retention": {"max_size": "64GiB"},  # trimming would spoil the count
        }
        for section, values in self._more.items():
            mapping = isinstance(values, Mapping)
            config[section] = {**config.get(section, {}), **values} if mapping else values
        return config


def _certificate(folder: Path) -> str:
    """Write a certificate for 127.0.0.1 to `folder`; return the file of its authority."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    authority.cert_pem.write_to_path(folder / "authority.pem")
    return str(folder / "authority.pem")


REFERENCE = Peer("reference", "C reference", _reference)
FASTAPI = Peer("fastapi", "FastAPI + uvicorn + redis.asyncio", _module("fastapi_plain", "fastapi"))
AIOHTTP = Peer("aiohttp", "aiohttp + redis.asyncio", _module("aiohttp_plain", "aiohttp"))
BUN = Peer("bun", "Bun + its Redis client", _bun)
FASTIFY = Peer("fastify", "fastify + ioredis, autopipelining", _fastify)
CONTENDERS: tuple[Contender, ...] = (
    Gateway("journal"), Gateway("redis"), REFERENCE, Nginx(), BUN, AIOHTTP, FASTIFY, FASTAPI,
)  # fmt: skip
# Measured in one case only.
VARIANTS: tuple[Contender, ...] = (
    Gateway("journal", tls=True), Gateway("redis", tls=True), Gateway("journal", feed=True),
)  # fmt: skip
