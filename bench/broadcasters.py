"""Who brings an event to the watchers of a call, each started at its best.

To the bench a broadcaster is a pid and a port once it runs, the request by which a watcher
comes in, and the request that publishes. The peers take a plain POST; the gateway takes a signed
webhook, journals it, and reads it back from Redis.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench import provision
from bench.crowd import call_cid
from bench.gateways import Gateway
from bench.load import webhooks
from bench.processes import Valkey, free_port, post, running, wait_until
from gateway.calls.jws import sign

_UPGRADE = (
    "GET /feed?{query} HTTP/1.1\r\nHost: feed.example.com\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)
_POST = (
    "POST /publish?call={call} HTTP/1.1\r\nHost: feed.example.com\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Broadcasting:
    """`admin_port` 0: it has none."""

    pid: int
    port: int
    admin_port: int = 0


class Broadcaster(Protocol):
    """`name` for the command line, `shown` for the table. `start` may raise `Missing`."""

    name: str
    shown: str
    greets: bool  # a watcher is told by a frame that he has come in

    def start(self, folder: Path, engine: Valkey, *, core: int) -> Any: ...
    def handshake(self, watcher: int, call: int) -> bytes: ...
    def publish(self, number: int, call: int, body: bytes) -> bytes: ...


class GatewayBroadcaster:
    """Every watcher is a user with a token of its own, on the plain feed."""

    name, shown, greets = "gateway", "gateway", True

    @contextmanager
    def start(self, folder: Path, engine: Valkey, *, core: int) -> Iterator[Broadcasting]:
        gateway = Gateway("journal", feed=True, more={"feed": {"access": "any"}})
        with gateway.start(folder, engine, core=core) as one:
            yield Broadcasting(one.pid, one.port, one.admin_port)

    def handshake(self, watcher: int, call: int) -> bytes:
        claims = {"user_id": f"user-{watcher}", "exp": int(time.time()) + 3600}
        token = sign(claims, webhooks.SECRET.encode())
        query = f"api_key={webhooks.APP}&call={call_cid(call)}"
        return _UPGRADE.format(query=query, more=f"Authorization: {token}\r\n").encode()

    def publish(self, number: int, call: int, body: bytes) -> bytes:  # noqa: ARG002
        return webhooks.request(body, number)


class Peer:
    """A program that takes host and port, watchers at /feed?call= and bodies at /publish?call=."""

    greets = False

    def __init__(self, name: str, shown: str, command: Callable[[Path, int], list[str]]) -> None:
        self.name, self.shown, self._command = name, shown, command

    @contextmanager
    def start(self, folder: Path, engine: Valkey, *, core: int) -> Iterator[Broadcasting]:  # noqa: ARG002
        port = free_port()
        command = self._command(folder, port)
        with running(command, core=core, log=folder / f"{self.name}.log") as process:

            def answers() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(f"it ended with {process.returncode}: see its log")
                return post(port, self.publish(0, 0, b"nobody watches yet")) < 300

            wait_until(answers, "it takes what is published", every_s=0.05)
            yield Broadcasting(process.pid, port)

    def handshake(self, watcher: int, call: int) -> bytes:  # noqa: ARG002
        return _UPGRADE.format(query=f"call={call_cid(call)}", more="").encode()

    def publish(self, number: int, call: int, body: bytes) -> bytes:  # noqa: ARG002
        return _POST.format(call=call_cid(call), length=len(body)).encode() + body


def _aiohttp(_: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "bench.peers.feed_aiohttp", "127.0.0.1", str(port)]


def _ws(_: Path, port: int) -> list[str]:
    script = str(provision.npm_packages() / "feed_ws.js")
    return [str(provision.node()), script, "127.0.0.1", str(port)]


def _bun(_: Path, port: int) -> list[str]:
    script = str(provision.npm_packages() / "feed_bun.js")
    return [str(provision.bun()), script, "127.0.0.1", str(port)]


def _nchan(folder: Path, port: int) -> list[str]:
    module, program = provision.nchan(), provision.nginx()
    (folder / "nginx.conf").write_text(
        f"load_module {module}; daemon off; worker_processes 1; pid nginx.pid;\n"
        "error_log error.log; worker_rlimit_nofile 16384; events { worker_connections 16384; }\n"
        "http { access_log off; keepalive_requests 1000000000; client_body_temp_path body;\n"
        "  proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n"
        "  nchan_shared_memory_size 256M;\n"
        f"  server {{ listen 127.0.0.1:{port} backlog=1024;\n"
        "    location = /publish { nchan_publisher; nchan_channel_id $arg_call;\n"
        "      nchan_message_buffer_length 1000; }\n"
        "    location = /feed { nchan_subscriber websocket; nchan_channel_id $arg_call;\n"
        "      nchan_subscriber_first_message newest; } } }\n"
    )
    return [str(program), "-p", str(folder), "-c", "nginx.conf"]


AIOHTTP = Peer("aiohttp", "aiohttp, a loop of `send_str`", _aiohttp)
BROADCASTERS: tuple[Broadcaster, ...] = (
    GatewayBroadcaster(),
    AIOHTTP,
    Peer("bun", "Bun `publish`", _bun),
    Peer("ws", "Node ws, a loop of `send`", _ws),
    Peer("nchan", "nchan (nginx)", _nchan),
)
