"""Who is compared: how each is started at its best, and where it keeps what it acknowledged.

To the bench a contender is a port, a pid, and a stream (or several) whose length must equal the
acknowledged requests. A new one is a class with these, and a line in the scenario.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import orjson

from bench.load import webhooks
from bench.peers import aiohttp_plain
from bench.processes import Valkey, free_port, get, post, running, wait_until
from gateway.stream import keys

Buckets = list[tuple[float, float]]


class Running:
    """A started contender. `pid` is the root of its processes."""

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


class _RunningGateway(Running):
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


def _ready(contender: Running, process: Popen[bytes]) -> Running:
    """Wait until it refuses a forged request, the cheapest proof that it is up and verifies."""
    forged = webhooks.request(webhooks.body("warm", 0, 1024), 0, forged=True)

    def refuses() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"it ended with {process.returncode}: see its log")
        return post(contender.port, forged) == 401

    wait_until(refuses, "it refuses a forged request", every_s=0.05)
    return contender


class AiohttpPlain:
    name = "aiohttp"
    shown = "aiohttp + redis.asyncio"

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[Running]:
        port = free_port()
        command = [sys.executable, "-m", "bench.peers.aiohttp_plain", "127.0.0.1", str(port)]
        command += [valkey.url, webhooks.SECRET, webhooks.PATH]
        with running(command, core=core, log=folder / "aiohttp.log") as process:
            server = Running(process.pid, port, valkey, [aiohttp_plain.STREAM], b"body")
            yield _ready(server, process)


class Gateway:
    """`gateway run` with a configuration of its own, an empty `data_dir` and no subscriber."""

    def __init__(self, ack: str) -> None:
        self.ack = ack
        self.name, self.shown = f"gateway-{ack}", f"gateway, ack: {ack}"

    @contextmanager
    def start(self, folder: Path, valkey: Valkey, *, core: int) -> Iterator[Running]:
        port, admin_port = free_port(), free_port()
        config = {
            "server": {"port": port},
            "admin": {"port": admin_port},
            "data_dir": str(folder / "data"),
            "apps": [{"api_key": webhooks.APP, "secrets": [webhooks.SECRET]}],
            "redis": {"url": valkey.url},
            "ingest": {"path": webhooks.PATH, "ack": self.ack},
            "retention": {"max_size": "64GiB"},  # trimming would spoil the count
        }
        path = folder / "config.yaml"
        path.write_bytes(orjson.dumps(config))  # JSON is YAML
        command = [str(Path(sys.executable).with_name("gateway")), "run", "--config", str(path)]
        with running(command, core=core, log=folder / f"{self.name}.log") as process:
            streams = [keys.events(shard) for shard in range(keys.SHARDS)]
            gateway = _RunningGateway(process.pid, port, valkey, streams, b"b")
            gateway.admin_port = admin_port
            yield _ready(gateway, process)


CONTENDERS = (Gateway("journal"), Gateway("redis"), AiohttpPlain())
