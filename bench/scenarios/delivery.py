"""What does it cost to bring an event from Redis to an HTTP receiver, with all that belongs to it?

A round fills Redis while nobody delivers, starts the contender with its receiver stopped in mid-air,
waits until it has come to rest, and lets the receiver go. From there on the time and the contender's
CPU count, until the last event is acknowledged in Redis. A round counts only if every event arrived
once for each receiver, byte for byte. The receiver shares a core with Valkey.

Then, with webhooks at a steady rate: from a webhook sent to its body at the receiver, alone and
beside a subscriber that takes everything and answers nothing.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from statistics import median

import orjson

from bench import machine
from bench.chart import Bar, Panel
from bench.deliverers import DELIVERERS, Deliverer, Job, gateway_for
from bench.frame import Results
from bench.load import webhooks
from bench.processes import Load, Valkey, load, valkey, wait_until
from bench.provision import Missing
from bench.receiver import Receiver, receiver
from bench.report import markdown, percentile, spread

_REST_S, _AT_REST_CPU_S = 0.2, 0.01
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Plan:
    events: int = 20000  # much more than anybody reads ahead while the receiver is stopped
    rounds: int = 3
    all_rounds: int = 1  # with so many of them there is more than one subscriber, or a steady rate
    size: int = 1024
    subscribers: tuple[int, ...] = (1, 3)
    rate: int = 1000
    paced: int = 3000
    only: tuple[str, ...] = ()

    def subscribers_in(self, number: int) -> tuple[int, ...]:
        return self.subscribers if number < self.all_rounds else self.subscribers[:1]


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender."""

    contender: str
    subscribers: int
    deliveries: int
    seconds: float
    cpu_us: float  # of the contender, all its threads, per delivery
    valkey_cpu_us: float
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Paced:
    """One round at a steady rate. `latency_us`: from sent to received, by the healthy one."""

    beside: str
    events: int
    latency_us: dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=1024, help="bytes of a body (1024)")
    parser.add_argument("--events", type=int, help="of a round")
    parser.add_argument("--subscribers", type=int, action="append", help="only this many")


def run(wanted: argparse.Namespace) -> Results:
    plan = Plan(size=wanted.size, only=tuple(wanted.only))
    if wanted.full:
        plan = replace(plan, events=100000, rounds=7, all_rounds=7, paced=30000)
    plan = replace(
        plan,
        rounds=wanted.rounds or plan.rounds,
        events=wanted.events or plan.events,
        subscribers=tuple(wanted.subscribers or plan.subscribers),
    )
    samples, paced, left_out = _rounds(plan)
    facts = {
        "plan": asdict(plan),
        "samples": [asdict(one) for one in samples],
        "paced": [asdict(one) for one in paced],
    }
    notes = [_paced_note(plan, paced)] if paced else []
    return Results(
        "From Redis to HTTP receivers", _table(samples), facts, _panels(samples), left_out, notes
    )


def _rounds(plan: Plan) -> tuple[list[Sample], list[Paced], list[str]]:
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    core = machine.cores()[1]
    samples, paced, left_out = [], [], {}
    wanted = [one for one in DELIVERERS if not plan.only or one.name in plan.only]
    try:
        with valkey(folder / "valkey", core=core) as engine, load(folder, core=core) as fire:
            for number in range(plan.rounds):
                for one in wanted:
                    try:
                        for count in plan.subscribers_in(number):
                            home = folder / f"{number}-{one.name}-{count}"
                            home.mkdir()
                            samples.append(
                                _measure(plan, one, count, folder=home, engine=engine, fire=fire)
                            )
                    except Missing as missing:
                        left_out[one.name] = f"{one.shown}: {missing}"
                paces = not plan.only and number < plan.all_rounds
                for beside in ("", "a black hole") if paces else ():
                    home = folder / f"{number}-paced-{len(beside)}"
                    home.mkdir()
                    paced.append(_pace(plan, beside, home, engine))
                print(f"round {number + 1} of {plan.rounds} done", flush=True)
    except BaseException:
        print(f"logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    return samples, paced, list(left_out.values())


def _measure(
    plan: Plan, one: Deliverer, subscribers: int, *, folder: Path, engine: Valkey, fire: Load
) -> Sample:
    engine.empty()
    own, other = machine.cores()
    total = plan.events * subscribers
    with receiver(folder, core=other, room_bytes=total * (plan.size + 16) + 4096) as sink:
        job = Job(
            folder, engine, fire, token_hex(4), plan.events, plan.size, [sink.url] * subscribers
        )
        one.fill(job)
        sink.freeze()
        with one.start(job, core=own) as process:
            wait_until(lambda: _at_rest(process.pid), "it has come to rest")
            cpu, engine_cpu = machine.cpu_seconds(process.pid), machine.cpu_seconds(engine.pid)
            began = time.monotonic()
            sink.thaw()
            wait_until(lambda: sink.count >= total, "all has arrived", within_s=120, every_s=0.01)
            wait_until(process.is_settled, "all is acknowledged", every_s=0.01)
            cpu = machine.cpu_seconds(process.pid) - cpu
            engine_cpu = machine.cpu_seconds(engine.pid) - engine_cpu
            resident = machine.resident_bytes(process.pid)
        arrivals = list(sink.arrivals())
    _check(one.name, job, Counter(body for _, body in arrivals))
    seconds = arrivals[-1][0] - began
    each = 1e6 / total
    return Sample(one.name, subscribers, total, seconds, cpu * each, engine_cpu * each, resident)


def _check(name: str, job: Job, arrived: Counter[bytes]) -> None:
    """Every event once for each receiver, byte for byte, and nothing else."""
    expected = dict.fromkeys(job.bodies(), len(job.urls))
    assert arrived == expected, f"{name}: {len(expected - arrived.keys())} are missing or changed"


def _at_rest(pid: int) -> bool:
    before = machine.cpu_seconds(pid)
    time.sleep(_REST_S)
    return machine.cpu_seconds(pid) - before < _AT_REST_CPU_S


def _pace(plan: Plan, beside: str, folder: Path, engine: Valkey) -> Paced:
    engine.empty()
    own, other = machine.cores()
    room = plan.paced * (plan.size + 16) + 4096
    with receiver(folder, core=other, room_bytes=room) as sink, _black_hole() as hole:
        urls = [sink.url, hole] if beside else [sink.url]
        with gateway_for(urls).start(folder, engine, core=own) as gateway:
            token = token_hex(4)
            what = (gateway.port, plan.rate, token, 1, plan.paced, plan.size)
            command = [sys.executable, "-m", "bench.load.paced", *map(str, what)]
            done = subprocess.run(
                ["taskset", "-c", str(other), *command],
                cwd=_ROOT,
                stdout=subprocess.PIPE,
                check=True,
                timeout=300,
            )
            sent = orjson.loads(done.stdout)
            wait_until(lambda: sink.count == plan.paced, "all has arrived", within_s=30)
        return Paced(beside, plan.paced, _latency(plan, token, sent, sink))


def _latency(plan: Plan, token: str, sent: Sequence[float], sink: Receiver) -> dict[str, float]:
    took, seen = [], set()
    for moment, body in sink.arrivals():
        number = webhooks.number_of(body)
        assert body == webhooks.body(token, number, plan.size), "a body was changed"
        assert number not in seen, "an event came twice"
        seen.add(number)
        took.append((moment - sent[number - 1]) * 1e6)
    took.sort()
    return {name: percentile(took, share) for name, share in (("p50", 0.5), ("p99", 0.99))}


@contextmanager
def _black_hole() -> Iterator[str]:
    """Give the URL of something that takes connections and bytes, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as hole:
        yield f"http://127.0.0.1:{hole.getsockname()[1]}/hole"


SHOWN = {one.name: one.shown for one in DELIVERERS}
HEADER = (
    "subscribers",
    "contender",
    "CPU us/delivery",
    "times ours",
    "Valkey us/delivery",
    "deliveries/s",
    "RSS MB",
)


def _groups(samples: Sequence[Sample]) -> dict[tuple[int, str], list[Sample]]:
    found: dict[tuple[int, str], list[Sample]] = {}
    for one in samples:
        found.setdefault((one.subscribers, one.contender), []).append(one)
    return dict(sorted(found.items(), key=lambda item: item[0][0]))


def _table(samples: Sequence[Sample]) -> str:
    """Return medians over the rounds, CPU with its spread (min..max)."""
    groups = _groups(samples)
    rows = []
    for (subscribers, name), group in groups.items():
        cpu = median(s.cpu_us for s in group)
        ours = [s.cpu_us for s in groups.get((subscribers, "gateway"), [])]
        rows.append(
            (
                str(subscribers),
                SHOWN[name],
                spread([s.cpu_us for s in group]),
                f"{cpu / median(ours):.1f}" if ours else "-",
                spread([s.valkey_cpu_us for s in group]),
                f"{median(s.deliveries / s.seconds for s in group):.0f}",
                f"{median(s.resident_bytes for s in group) / 1e6:.0f}",
            )
        )
    return markdown(HEADER, rows)


def _panels(samples: Sequence[Sample]) -> list[Panel]:
    panels: dict[int, list[Bar]] = {}
    for (subscribers, name), group in _groups(samples).items():
        cpu = [s.cpu_us for s in group]
        bar = Bar(SHOWN[name], median(cpu), min(cpu), max(cpu), ours=name == "gateway")
        panels.setdefault(subscribers, []).append(bar)
    return [
        Panel(f"CPU us per delivery, {count} subscriber{'s' if count > 1 else ''}", bars)
        for count, bars in panels.items()
    ]


def _paced_note(plan: Plan, paced: Sequence[Paced]) -> str:
    def times(beside: str) -> str:
        of = [one.latency_us for one in paced if one.beside == beside]
        return " / ".join(f"{median(t[name] for t in of) / 1000:.1f}" for name in ("p50", "p99"))

    return (
        f"From a webhook sent to its body at the receiver, {plan.rate} webhooks/s, ms p50 / p99:"
        f" {times('')} with one subscriber, {times('a black hole')} beside a subscriber that never"
        " answers."
    )
