"""Who is compared: how each is started at its best, and where it keeps what it acknowledged.

To the bench a contender is a port, a pid, and a stream (or several) whose length must equal the
acknowledged requests. A new one is a class with these, and a line in the scenario. What it runs
on comes from `provision`, which raises `Missing` where it cannot be had.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bench import provision
from bench.gateways import Gateway
from bench.load import webhooks
from bench.processes import Valkey, free_port, running
from bench.started import Running, ready

STREAM = "events"  # where the peers keep theirs


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


class Peer:
    """A program that takes port, Redis, secret and path as `command` puts them."""

    def __init__(self, name: str, shown: str, command: Callable[[int, Valkey], list[str]]) -> None:
        self.name, self.shown, self._command = name, shown, command

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[Running]:
        port = free_port()
        command = [*self._command(port, valkey), webhooks.SECRET, webhooks.PATH]
        with running(command, core=core, log=folder / f"{self.name}.log") as process:
            yield ready(Running(process.pid, port, valkey, [STREAM], b"body"), process)


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
            yield ready(_RunningCeiling(process.pid, port, valkey, [], b""), process, 200)


REFERENCE = Peer("reference", "C reference", _reference)
FASTAPI = Peer("fastapi", "FastAPI + uvicorn + redis.asyncio", _module("fastapi_plain", "fastapi"))
AIOHTTP = Peer("aiohttp", "aiohttp + redis.asyncio", _module("aiohttp_plain", "aiohttp"))
BUN = Peer("bun", "Bun + its Redis client", _bun)
FASTIFY = Peer("fastify", "fastify + ioredis, autopipelining", _fastify)
CONTENDERS: tuple[Contender, ...] = (
    Gateway("journal"),
    Gateway("redis"),
    REFERENCE,
    Nginx(),
    BUN,
    AIOHTTP,
    FASTIFY,
    FASTAPI,
)
# Measured in one case only.
VARIANTS: tuple[Contender, ...] = (
    Gateway("replicated"),
    Gateway("journal", tls=True),
    Gateway("redis", tls=True),
    Gateway("journal", feed=True),
    Gateway("journal", native=False),
    Gateway("redis", native=False),
)
