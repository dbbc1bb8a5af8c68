"""Who delivers: from Redis to HTTP receivers, each started at its best.

To the bench a deliverer is a way to fill Redis with events, a pid once it runs, and a word on
whether everything is acknowledged.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bench import provision
from bench.gateways import Gateway, RunningGateway
from bench.load import webhooks
from bench.processes import Load, Valkey, get, running, wait_until
from gateway.store import keys

CONCURRENCY = 64
_STREAM = "events"
_SHARDS = [keys.events(shard) for shard in range(keys.SHARDS)]


@dataclass(frozen=True, slots=True)
class Job:
    """One round: its events, and the URLs that each of them is for."""

    folder: Path
    engine: Valkey
    fire: Load
    token: str
    events: int
    size: int
    urls: Sequence[str]

    def bodies(self) -> Iterator[bytes]:
        return (webhooks.body(self.token, n, self.size) for n in range(1, self.events + 1))


@dataclass(frozen=True, slots=True)
class Delivering:
    """`is_settled`: every group has read and acknowledged everything."""

    pid: int
    is_settled: Callable[[], bool]


class Deliverer(Protocol):
    name: str
    shown: str

    def fill(self, job: Job) -> None: ...
    def start(self, job: Job, *, core: int) -> Any: ...


def gateway_for(urls: Sequence[str], **more: Any) -> Gateway:
    """Return a gateway whose subscribers these are; `more` goes into its configuration."""
    subscribers = [
        {
            "name": f"s{number}",
            "kind": "http",
            "url": url,
            "start": "earliest",
            "concurrency": CONCURRENCY,
        }
        for number, url in enumerate(urls)
    ]
    return Gateway("journal", more={"subscribers": subscribers, **more})


def publish(job: Job, gateway: RunningGateway) -> None:
    """Send the events of `job` to a running gateway; return once they are in Redis."""
    job.fire(prepare={"token": job.token, "first": 1, "count": job.events, "size": job.size})
    seen = job.fire(fire={"host": "127.0.0.1", "port": gateway.port, "connections": 64})
    assert seen["statuses"] == {"200": job.events}, seen["statuses"]
    gateway.settle(job.events)


class GatewayDeliverer:
    """Its events come in by webhook; then it is started anew, with subscribers."""

    name, shown = "gateway", "gateway"

    def fill(self, job: Job) -> None:
        home = job.folder / "fill"
        home.mkdir()
        with gateway_for(()).start(home, job.engine, core=0) as gateway:
            publish(job, gateway)

    @contextmanager
    def start(self, job: Job, *, core: int) -> Iterator[Delivering]:
        with gateway_for(job.urls).start(job.folder, job.engine, core=core) as gateway:
            yield Delivering(gateway.pid, lambda: self._is_settled(job))
            wait_until(lambda: self._is_counted(job, gateway), "as many deliveries are counted")

    def _is_counted(self, job: Job, gateway: RunningGateway) -> bool:
        metrics = get(gateway.admin_port, "/metrics")
        return all(
            f'settled_total{{subscriber="s{number}",how="delivered"}} {job.events}\n' in metrics
            for number in range(len(job.urls))
        )

    def _is_settled(self, job: Job) -> bool:
        groups = [one for name in _SHARDS for one in job.engine.client.xinfo_groups(name)]
        read = sum(group["entries-read"] or 0 for group in groups)
        return read == job.events * len(job.urls) and not any(g["pending"] for g in groups)


class Peer:
    """A program that is given Redis, how many requests at once, and the URLs."""

    def __init__(self, name: str, shown: str, command: Callable[[Valkey], list[str]]) -> None:
        self.name, self.shown, self._command = name, shown, command

    def fill(self, job: Job) -> None:
        pipeline = job.engine.client.pipeline(transaction=False)
        for number, body in enumerate(job.bodies()):
            # In the order in which the peers read them.
            fields = {"app": webhooks.APP, "id": f"hook-{number}", "signature": "0" * 64}
            pipeline.xadd(_STREAM, {**fields, "body": body})
        for number in range(len(job.urls)):
            pipeline.xgroup_create(_STREAM, f"group-{number}", id="0")
        pipeline.execute()

    @contextmanager
    def start(self, job: Job, *, core: int) -> Iterator[Delivering]:
        command = [*self._command(job.engine), str(CONCURRENCY), *job.urls]
        with running(command, core=core, log=job.folder / f"{self.name}.log") as process:

            def is_settled() -> bool:
                groups = job.engine.client.xinfo_groups(_STREAM)
                return all(not group["pending"] and not group["lag"] for group in groups)

            def has_begun() -> bool:
                if process.poll() is not None:
                    raise RuntimeError(f"it ended with {process.returncode}: see its log")
                return any(group["pending"] for group in job.engine.client.xinfo_groups(_STREAM))

            wait_until(has_begun, "it reads", every_s=0.05)
            yield Delivering(process.pid, is_settled)


def _aiohttp(engine: Valkey) -> list[str]:
    return [sys.executable, "-m", "bench.peers.deliver_aiohttp", engine.url]


def _undici(engine: Valkey) -> list[str]:
    script = str(provision.npm_packages() / "deliver.js")
    return [str(provision.node()), script, str(engine.path)]


DELIVERERS: tuple[Deliverer, ...] = (
    GatewayDeliverer(),
    Peer("undici", "undici dispatch + ioredis", _undici),
    Peer("aiohttp", "aiohttp ClientSession + redis-py", _aiohttp),
)
