"""What does it cost to bring an event to everybody who watches a call?

A round starts each contender in turn, opens its watchers, and publishes: one message at a time, 16
in flight, and at a steady 200 a second; each message is a body of its own. A report counts only
if every watcher got every message of its call once, in order, byte for byte. The gateway also
verifies, journals and stores each of them in Redis, whose CPU is not in its figure; the peers do
nothing but pass it on. Watchers, publisher and Valkey share a core, the contender has the other.

Then, of the gateway alone, the steady case once more beside 500 watchers that never read.
"""

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex

from bench import machine
from bench.broadcasters import BROADCASTERS, Broadcaster, Broadcasting, GatewayBroadcaster
from bench.crowd import Crowd, body, crowd
from bench.frame import Results
from bench.processes import Valkey, get, valkey
from bench.provision import Missing
from bench.report import from_buckets
from bench.scenarios import feed_table
from bench.scenarios.feed_table import Sample

_RATE, _STALLED = 200, 500
_BUCKET = 'gateway_feed_seconds_bucket{le="'


@dataclass(frozen=True, slots=True)
class Case:
    """So many watchers, spread over calls, and how many messages each phase has (0: without).

    `warm_up`: as many before it, one at a time and not measured. Linux acknowledges each of the
    first 16 sends of a connection at once, which costs everybody about twice as much.
    """

    watchers: int
    calls: int
    alone: int
    in_flight: int
    paced: int = 0
    stalled: int = 0
    warm_up: int = 0

    @property
    def messages(self) -> int:
        return self.warm_up + self.alone + self.in_flight + self.paced

    def longer(self, times: int) -> "Case":
        return replace(
            self,
            alone=self.alone * times,
            in_flight=self.in_flight * times,
            paced=self.paced * times,
        )


BASE = Case(1000, 1, alone=100, in_flight=128, paced=240, warm_up=30)
LARGE = (
    Case(5000, 1, alone=30, in_flight=32, warm_up=20),
    Case(5000, 500, alone=200, in_flight=2000),
)
BESIDE = Case(1000, 1, alone=0, in_flight=0, paced=240, stalled=_STALLED)


@dataclass(frozen=True, slots=True)
class Plan:
    """`large` cases run in the first so many rounds."""

    rounds: int = 3
    large_rounds: int = 1
    times: int = 1
    size: int = 300
    only: tuple[str, ...] = ()

    def cases(self, number: int, one: Broadcaster) -> Iterator[Case]:
        cases = [BASE, *(LARGE if number < self.large_rounds else ())]
        if isinstance(one, GatewayBroadcaster):
            cases.append(BESIDE)
        return (case.longer(self.times) for case in cases)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=300, help="bytes of a body (300)")


def run(wanted: argparse.Namespace) -> Results:
    plan = Plan(size=wanted.size, only=tuple(wanted.only))
    if wanted.full:
        plan = replace(plan, rounds=5, large_rounds=5, times=8)
    plan = replace(plan, rounds=wanted.rounds or plan.rounds)
    samples, left_out = _rounds(plan)
    facts = {"plan": asdict(plan), "samples": [asdict(one) for one in samples]}
    return Results(
        "From an event to all who watch its call",
        feed_table.table(samples),
        facts,
        feed_table.panels(samples),
        left_out,
        feed_table.notes(samples),
    )


def _rounds(plan: Plan) -> tuple[list[Sample], list[str]]:
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    samples: list[Sample] = []
    left_out: dict[str, str] = {}
    wanted = [one for one in BROADCASTERS if not plan.only or one.name in plan.only]
    try:
        with valkey(folder / "valkey", core=machine.cores()[1]) as engine:
            for number in range(plan.rounds):
                for one in wanted:
                    for case in plan.cases(number, one):
                        home = folder / f"{number}-{one.name}-{len(samples)}"
                        home.mkdir()
                        try:
                            samples += _measure(plan, one, case, home, engine)
                        except Missing as missing:
                            left_out[one.name] = f"{one.shown}: {missing}"
                print(f"round {number + 1} of {plan.rounds} done", flush=True)
    except BaseException:
        print(f"logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    return samples, list(left_out.values())


def _measure(
    plan: Plan, one: Broadcaster, case: Case, folder: Path, engine: Valkey
) -> list[Sample]:
    engine.empty()
    with one.start(folder, engine, core=machine.cores()[0]) as server:
        before = machine.resident_bytes(server.pid)
        with _watched(plan, one, case, folder, server.port) as watching:
            idle = machine.resident_bytes(server.pid) - before
            if case.warm_up:
                watching.loop(1, case.warm_up)
            samples = [
                _phase(one, case, server, watching, phase=phase, count=count)
                for phase, count in (
                    ("alone", case.alone),
                    ("in flight", case.in_flight),
                    ("paced", case.paced),
                )
                if count
            ]
            busy = machine.resident_bytes(server.pid) - before
    each = case.watchers + case.stalled
    return [replace(s, idle_bytes=idle / each, busy_bytes=busy / each) for s in samples]


@contextmanager
def _watched(plan: Plan, one: Broadcaster, case: Case, folder: Path, port: int) -> Iterator[Crowd]:
    token = token_hex(4)
    calls = [number % case.calls for number in range(case.messages)]
    bodies = [body(token, number, call, plan.size) for number, call in enumerate(calls)]
    receivers = case.watchers // case.calls
    messages = [
        (call, receivers, one.publish(number, call, content))
        for number, (call, content) in enumerate(zip(calls, bodies, strict=True))
    ]
    watchers = [
        (n % case.calls, one.handshake(n, n % case.calls))
        for n in range(case.watchers + case.stalled)
    ]
    with crowd(
        folder,
        port,
        core=machine.cores()[1],
        body_bytes=plan.size,
        handshakes=watchers,
        stalled=case.stalled,
        messages=messages,
        greets=one.greets,
    ) as watching:
        yield watching


def _phase(
    one: Broadcaster, case: Case, server: Broadcasting, watching: Crowd, *, phase: str, count: int
) -> Sample:
    buckets, cpu = _buckets(server), machine.cpu_seconds(server.pid)
    if phase == "paced":
        seen = watching.pace(_RATE, count)
    else:
        seen = watching.loop(16 if phase == "in flight" else 1, count)
    cpu = machine.cpu_seconds(server.pid) - cpu
    expected = count * case.watchers // case.calls
    assert seen["deliveries"] == expected, f"{one.name}: {seen['deliveries']} of {expected}"
    if isinstance(one, GatewayBroadcaster):
        assert not seen["reordered"], "watchers of one call had different orders"
    inside = [
        (bound, count - was)
        for (bound, count), (_, was) in zip(_buckets(server), buckets, strict=True)
    ]
    return Sample(
        contender=one.name,
        watchers=case.watchers,
        calls=case.calls,
        stalled=case.stalled,
        phase=phase,
        deliveries=expected,
        reordered=seen["reordered"],
        seconds=seen["seconds"],
        cpu_us=cpu * 1e6 / expected,
        latency_ms={name: us / 1000 for name, us in seen["latency_us"].items()},
        inside_ms={
            name: 1000 * (from_buckets(inside, share) or 0)
            for name, share in (("p50", 0.5), ("p99", 0.99))
        }
        if inside
        else {},
    )


def _buckets(server: Broadcasting) -> Sequence[tuple[float, float]]:
    """Return the gateway's own histogram: from an event accepted to its frames written."""
    if not server.admin_port:
        return []
    found = []
    for line in get(server.admin_port, "/metrics").splitlines():
        if line.startswith(_BUCKET):
            bound, _, count = line.removeprefix(_BUCKET).partition('"} ')
            found.append((float(bound), float(count)))
    return found
