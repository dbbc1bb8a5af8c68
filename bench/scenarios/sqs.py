"""What does an event cost that comes from SQS, and one that goes to it?

A round fills a queue (in) or Redis (out) while nobody works, starts the contender with the local
SQS stopped in mid-air, waits until it has come to rest, and lets SQS go. From there on the time
and the contender's CPU count, until the last message is stored and deleted, or sent. A round
counts only if the work was done: every event once, a body equal byte for byte.

The local SQS is itself a Python program on the other core, and bounds the messages per second.
"""

import argparse
import shutil
import sys
import tempfile
import time
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from statistics import median
from typing import Literal

import orjson

from bench import machine
from bench.frame import Results
from bench.load import webhooks
from bench.local_sqs import REGION, LocalSqs, local_sqs
from bench.peers import sqs_boto3
from bench.processes import Valkey, free_ports, get, load, running, valkey, wait_until
from bench.report import markdown, spread
from gateway.store import keys

Direction = Literal["in", "out"]
PEER = "boto3"
SHOWN = {"gateway": "gateway", PEER: "boto3 in a loop"}
_REST_S, _AT_REST_CPU_S = 0.3, 0.01


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int = 3
    size: int = 1024
    messages: int = 2000

    def longer(self) -> "Plan":
        return Plan(rounds=7, size=self.size, messages=15 * self.messages)


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender in one direction."""

    contender: str
    direction: Direction
    messages: int
    seconds: float
    cpu_us: float  # of the contender, all its threads, per message
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class _Round:
    """What all contenders of a round are given."""

    folder: Path
    engine: Valkey
    sqs: LocalSqs
    queue: str
    token: str
    plan: Plan

    def body(self, number: int) -> bytes:
        return webhooks.body(self.token, number, self.plan.size)

    def bodies(self) -> Iterator[bytes]:
        return (self.body(number) for number in range(1, self.plan.messages + 1))


@dataclass(frozen=True, slots=True)
class _Running:
    pid: int
    is_done: Callable[[], bool]
    stored: Callable[[], list[bytes]]  # the bodies in Redis


def _streams(engine: Valkey, names: list[str], field: bytes) -> list[bytes]:
    return [fields[field] for name in names for _, fields in engine.client.xrange(name)]


_SHARDS = [keys.events(shard) for shard in range(keys.SHARDS)]


@contextmanager
def _gateway_process(
    given: _Round, name: str, **more: object
) -> Iterator[tuple[int, int, Callable[[], str]]]:
    """Run a gateway; give its pid, its port, and what reads its metrics."""
    port, admin_port = free_ports(2)
    config = {
        "server": {"port": port},
        "admin": {"port": admin_port},
        "data_dir": str(given.folder / "data"),
        "apps": [{"api_key": webhooks.APP, "secrets": [webhooks.SECRET]}],
        "redis": {"url": given.engine.url},
        "feed": {"enabled": False},
        "retention": {"max_size": "64GiB"},
        **more,
    }
    path = given.folder / f"{name}.yaml"
    path.write_bytes(orjson.dumps(config))  # JSON is YAML
    command = [str(Path(sys.executable).with_name("gateway")), "run", "--config", str(path)]
    core = machine.cores()[0]
    with running(command, core=core, log=given.folder / f"{name}.log") as process:
        wait_until(lambda: get(admin_port, "/healthz"), "the gateway answers", every_s=0.05)
        yield process.pid, port, lambda: get(admin_port, "/metrics")


@contextmanager
def _gateway(given: _Round, direction: Direction) -> Iterator[_Running]:
    queue = {"queue_url": given.queue, "region": REGION, "endpoint": given.sqs.endpoint}
    if direction == "in":
        source = {"name": "q", "kind": "sqs", "app": webhooks.APP, **queue}
        more: dict[str, object] = {"sources": [source]}
        done: tuple[str, ...] = (
            f'gateway_source_messages_total{{source="q",what="deleted"}} {given.plan.messages}\n',
            "gateway_journal_waiting 0\n",
        )
    else:
        subscriber = {"name": "q", "kind": "sqs", "start": "earliest", **queue}
        more = {"subscribers": [subscriber]}
        delivered = 'gateway_delivery_attempts_total{subscriber="q",result="delivered"}'
        done = (f"{delivered} {given.plan.messages}\n",)
    with _gateway_process(given, direction, **more) as (pid, _, metrics):

        def is_done() -> bool:
            found = metrics()
            return all(line in found for line in done)

        yield _Running(pid, is_done, lambda: _streams(given.engine, _SHARDS, b"b"))


@contextmanager
def _boto3(given: _Round, direction: Direction) -> Iterator[_Running]:
    log = given.folder / f"boto3-{direction}.log"
    command = [sys.executable, "-m", "bench.peers.sqs_boto3", direction, given.sqs.endpoint]
    command += [given.queue, given.engine.url]
    client = given.engine.client

    def is_done() -> bool:
        if direction == "in":
            return bool(given.sqs.count(given.queue) == 0)
        group = client.xinfo_groups(sqs_boto3.STREAM)[0]
        return bool(group["lag"] == 0 and group["pending"] == 0)

    with running(command, core=machine.cores()[0], log=log) as process:
        wait_until(lambda: b"ready" in log.read_bytes(), "boto3 is ready")
        yield _Running(
            process.pid, is_done, lambda: _streams(given.engine, [sqs_boto3.STREAM], b"body")
        )


CONTENDERS = {"gateway": _gateway, PEER: _boto3}


def _fill_queue(given: _Round) -> None:
    given.sqs.send(given.queue, (b64encode(body).decode() for body in given.bodies()))


def _fill_streams(given: _Round, contender: str) -> None:
    """Put the events where a contender takes them from, by its own way in."""
    if contender == PEER:
        pipeline = given.engine.client.pipeline(transaction=False)
        for body in given.bodies():
            pipeline.xadd(sqs_boto3.STREAM, {"body": body})
        pipeline.xgroup_create(sqs_boto3.STREAM, sqs_boto3.GROUP, id="0")
        pipeline.execute()
        return
    with (
        _gateway_process(given, "fill") as (_, port, _),
        load(given.folder, core=machine.cores()[1]) as fire,
    ):
        fire(
            prepare={
                "token": given.token,
                "first": 1,
                "count": given.plan.messages,
                "size": given.plan.size,
            }
        )
        fire(fire={"host": "127.0.0.1", "port": port, "connections": 16})
        client = given.engine.client
        wait_until(
            lambda: sum(client.xlen(name) for name in _SHARDS) == given.plan.messages,
            "all events in Redis",
        )


def _at_rest(pid: int) -> bool:
    before = machine.cpu_seconds(pid)
    time.sleep(_REST_S)
    return machine.cpu_seconds(pid) - before < _AT_REST_CPU_S


def _measure(given: _Round, contender: str, direction: Direction) -> Sample:
    given.engine.empty()
    if direction == "in":
        _fill_queue(given)
    else:
        _fill_streams(given, contender)
    given.sqs.freeze()
    try:
        with CONTENDERS[contender](given, direction) as process:
            wait_until(lambda: _at_rest(process.pid), "it has come to rest")
            cpu, began = machine.cpu_seconds(process.pid), time.perf_counter()
            given.sqs.thaw()
            wait_until(process.is_done, "all is done", within_s=300, every_s=0.1)
            seconds = time.perf_counter() - began
            cpu = machine.cpu_seconds(process.pid) - cpu
            resident = machine.resident_bytes(process.pid)
            _check(given, process, direction)
    finally:
        given.sqs.thaw()
    count = given.plan.messages
    return Sample(contender, direction, count, seconds, cpu / count * 1e6, resident)


def _check(given: _Round, process: _Running, direction: Direction) -> None:
    expected = set(given.bodies())
    if direction == "in":
        stored = process.stored()
        assert len(stored) == len(expected), f"{len(stored)} stored"
        assert set(stored) == expected, "a body was changed"
        assert given.sqs.count(given.queue) == 0, "messages are left in the queue"
    else:
        count = given.sqs.count(given.queue)
        assert count == len(expected), f"{count} sent"
        assert b64decode(given.sqs.some_text(given.queue)) in expected, "a body was changed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=1024, help="bytes of a body (1024)")


def run(wanted: argparse.Namespace) -> Results:
    plan = Plan(size=wanted.size)
    plan = plan.longer() if wanted.full else plan
    plan = replace(plan, rounds=wanted.rounds or plan.rounds)
    samples = _rounds(plan)
    facts = {"plan": asdict(plan), "samples": [asdict(sample) for sample in samples]}
    return Results("From SQS and to SQS", _table(samples), facts)


def _rounds(plan: Plan) -> list[Sample]:
    """Run all rounds, in a folder of their own that is removed unless something goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    core = machine.cores()[1]
    samples: list[Sample] = []
    try:
        with (
            valkey(folder / "valkey", core=core) as engine,
            local_sqs(folder / "sqs", core=core) as sqs,
        ):
            for index in range(plan.rounds):
                for direction in ("in", "out"):
                    for contender in CONTENDERS:
                        home = folder / f"{index}-{direction}-{contender}"
                        home.mkdir()
                        token = token_hex(4)
                        given = _Round(home, engine, sqs, sqs.queue(f"q-{token}"), token, plan)
                        samples.append(_measure(given, contender, direction))
                print(f"round {index + 1} of {plan.rounds} done", flush=True)
    except BaseException:
        print(f"logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    return samples


HEADER = ("direction", "contender", "CPU us/message", "less than peer", "messages/s", "RSS MB")


def _table(samples: list[Sample]) -> str:
    """Return the table: medians over the rounds, CPU with its spread (min..max)."""
    groups: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.direction, sample.contender].append(sample)
    rows = []
    for (direction, name), group in groups.items():
        own = median(s.cpu_us for s in group)
        peer = median(s.cpu_us for s in groups[direction, PEER])
        rows.append(
            (
                direction,
                SHOWN[name],
                spread([s.cpu_us for s in group], 0),
                f"{peer / own:.1f}x",
                f"{median(s.messages / s.seconds for s in group):.0f}",
                f"{median(s.resident_bytes for s in group) / 1e6:.0f}",
            )
        )
    return markdown(HEADER, rows)
