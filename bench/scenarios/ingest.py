"""What does a webhook cost from its last byte read to stored in Redis, and how long does it take?

Rounds of all contenders are interleaved, each on a freshly started process and an emptied
Valkey, with bodies that nobody has seen before. A round counts only if the work was done: all
answers 200, as many events in Redis as answers, a body equal byte for byte, a forged one refused.
CPU is read after everything is published, so what an early answer puts off is in the figure.
"""

import secrets
import shutil
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import machine
from bench.contenders import CONTENDERS, Buckets, Running
from bench.load import webhooks
from bench.processes import Load, Valkey, load, post, valkey
from bench.report import from_buckets, markdown, spread

PEER = "aiohttp"


@dataclass(frozen=True, slots=True)
class Plan:
    """`events` per round, by connections: one connection waits most of the time."""

    rounds: int = 5
    size: int = 1024
    warm_up: int = 2000
    events: tuple[tuple[int, int], ...] = ((1, 3000), (16, 10000), (64, 20000), (256, 20000))
    only: tuple[str, ...] = ()

    def longer(self) -> "Plan":
        return Plan(
            rounds=9,
            size=self.size,
            events=tuple((c, n * 5) for c, n in self.events),
            only=self.only,
        )


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender at one number of connections."""

    contender: str
    connections: int
    events: int
    seconds: float
    cpu_us: float  # of the server, all its threads, per event
    valkey_cpu_us: float
    latency_us: dict[str, float]  # as the load generator saw it, saturated
    ack_buckets: Buckets  # as the server saw it, this round only
    resident_bytes: int


class _Numbers:
    """Hands out event numbers, none of them twice."""

    def __init__(self) -> None:
        self.token, self._next = secrets.token_hex(4), 1

    def take(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        return first


def measure(
    name: str, server: Running, engine: Valkey, fire: Load, numbers: _Numbers,
    *, connections: int, events: int, size: int,
) -> Sample:  # fmt: skip
    """Run one round and check that the work was done. Raises AssertionError if it was not."""
    first = numbers.take(events)
    fire(prepare={"token": numbers.token, "first": first, "count": events, "size": size})
    stored = server.stored()
    buckets = server.ack_buckets()
    cpu, engine_cpu = machine.cpu_seconds(server.pid), machine.cpu_seconds(engine.pid)
    seen = fire(fire={"host": "127.0.0.1", "port": server.port, "connections": connections})
    server.settle(stored + events)
    cpu = machine.cpu_seconds(server.pid) - cpu
    engine_cpu = machine.cpu_seconds(engine.pid) - engine_cpu
    after = dict(server.ack_buckets())
    assert seen["statuses"] == {"200": events}, f"{name}: {seen['statuses']}"
    assert server.stored() == stored + events, f"{name}: {server.stored() - stored} of {events}"
    _check_bodies(name, server, numbers, range(first, first + events), size)
    return Sample(
        contender=name,
        connections=connections,
        events=events,
        seconds=seen["seconds"],
        cpu_us=cpu / events * 1e6,
        valkey_cpu_us=engine_cpu / events * 1e6,
        latency_us=seen["latency_us"],
        ack_buckets=[(bound, after[bound] - count) for bound, count in buckets],
        resident_bytes=machine.resident_bytes(server.pid),
    )


def _check_bodies(
    name: str, server: Running, numbers: _Numbers, expected: range, size: int
) -> None:
    body = server.some_body()
    number = webhooks.number_of(body)
    assert number in expected, f"{name}: event {number} is not of this round"
    assert body == webhooks.body(numbers.token, number, size), f"{name}: a body was changed"
    stored, fresh = server.stored(), numbers.take(1)
    forged = webhooks.request(webhooks.body(numbers.token, fresh, size), fresh, forged=True)
    assert post(server.port, forged) == 401, f"{name}: a forged request was not refused"
    assert server.stored() == stored, f"{name}: a forged request was stored"


def _round(plan: Plan, folder: Path, engine: Valkey, fire: Load, numbers: _Numbers) -> list[Sample]:
    samples = []
    for contender in CONTENDERS:
        if plan.only and contender.name not in plan.only:
            continue
        engine.empty()
        home = folder / contender.name
        home.mkdir()
        with contender.start(home, engine, core=machine.cores()[0]) as server:
            measure(
                contender.name, server, engine, fire, numbers,
                connections=16, events=plan.warm_up, size=plan.size,
            )  # fmt: skip
            samples += [
                measure(
                    contender.name, server, engine, fire, numbers,
                    connections=connections, events=events, size=plan.size,
                )
                for connections, events in plan.events
            ]  # fmt: skip
        shutil.rmtree(home)
    return samples


def run(plan: Plan, folder: Path | None = None) -> list[Sample]:
    """Run all rounds, in a folder of their own that is removed unless something goes wrong."""
    folder = folder or Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    core = machine.cores()[1]
    samples: list[Sample] = []
    numbers = _Numbers()
    try:
        with valkey(folder / "valkey", core=core) as engine, load(folder, core=core) as fire:
            for index in range(plan.rounds):
                samples += _round(plan, folder, engine, fire, numbers)
                print(f"round {index + 1} of {plan.rounds} done", flush=True)
    except BaseException:
        print(f"logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    return samples


def _pooled(samples: list[Sample]) -> Buckets:
    totals: dict[float, float] = defaultdict(float)
    for sample in samples:
        for bound, count in sample.ack_buckets:
            totals[bound] += count
    return sorted(totals.items())


def _ack(samples: list[Sample]) -> str:
    buckets = _pooled(samples)
    times = [from_buckets(buckets, share) for share in (0.5, 0.99)]
    return " / ".join("-" if time is None else f"{time * 1e6:.0f}" for time in times)


HEADER = (
    "connections", "contender", "CPU us/event", "less than peer", "Valkey us/event", "events/s",
    "ack us p50 / p99", "latency ms p50 / p99", "RSS MB",
)  # fmt: skip


def table(samples: list[Sample]) -> str:
    """Return the table: medians over the rounds, CPU with its spread (min..max)."""
    groups: dict[tuple[int, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.connections, sample.contender].append(sample)
    shown = {contender.name: contender.shown for contender in CONTENDERS}
    rows = []
    for (connections, name), group in sorted(groups.items(), key=lambda item: item[0][0]):
        own = median(s.cpu_us for s in group)
        peer = [s.cpu_us for s in groups.get((connections, PEER), [])]
        latency = [median(s.latency_us[p] for s in group) / 1000 for p in ("p50", "p99")]
        rows.append((
            str(connections),
            shown[name],
            spread([s.cpu_us for s in group]),
            f"{median(peer) / own:.1f}x" if peer else "-",
            spread([s.valkey_cpu_us for s in group]),
            f"{median(s.events / s.seconds for s in group):.0f}",
            _ack(group),
            f"{latency[0]:.2f} / {latency[1]:.2f}",
            f"{median(s.resident_bytes for s in group) / 1e6:.0f}",
        ))  # fmt: skip
    return markdown(HEADER, rows)


def as_json(plan: Plan, samples: list[Sample]) -> dict[str, object]:
    """Return everything measured, with the machine it was measured on."""
    return {
        "scenario": "ingest",
        "environment": machine.environment(),
        "plan": asdict(plan),
        "samples": [
            asdict(s) | {"ack_buckets": [[str(b), n] for b, n in s.ack_buckets]} for s in samples
        ],
    }
