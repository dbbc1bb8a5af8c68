"""What does a webhook cost from its last byte read to stored in Redis, and how long does it take?

Rounds of all contenders are interleaved, each on a freshly started process and an emptied
Valkey, with bodies that nobody has seen before. A round counts only if the work was done: all
answers 200, as many events in Redis as answers, a body equal byte for byte, a forged one refused.
CPU is read after everything is published, so what an early answer puts off is in the figure.
"""

import argparse
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench import machine
from bench.contenders import CONTENDERS, VARIANTS, Contender
from bench.frame import Results
from bench.load import webhooks
from bench.processes import Load, Valkey, load, post, valkey
from bench.provision import Missing
from bench.scenarios import ingest_table
from bench.scenarios.ingest_table import Case, Sample
from bench.started import Running

BASE = Case()
# With how many events: one connection waits most of the time, `always` for the disk.
EVENTS = {
    BASE: 16000,
    Case(half=True): 8000,
    Case(connections=1): 2000,
    Case(connections=16): 8000,
    Case(connections=256): 15000,
    Case(size=512): 10000,
    Case(size=4096): 8000,
    Case(fsync="always"): 5000,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """`events` of each case. All but the first two run in the first `all_rounds` only."""

    events: dict[Case, int]
    rounds: int = 3
    all_rounds: int = 1
    warm_up: int = 3000
    only: tuple[str, ...] = ()

    def contenders(self) -> list[Contender]:
        return [one for one in (*CONTENDERS, *VARIANTS) if not self.only or one.name in self.only]

    def cases(self, number: int, contender: Contender) -> Iterable[Case]:
        if contender in VARIANTS:
            return [BASE]
        cases = list(self.events)
        return cases if number < self.all_rounds else cases[:2]


class Numbers:
    """Hands out event numbers, none of them twice."""

    def __init__(self) -> None:
        self.token, self._next = secrets.token_hex(4), 1

    def take(self, count: int) -> int:
        first, self._next = self._next, self._next + count
        return first


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rounds share."""

    folder: Path
    engine: Valkey
    fire: Load
    numbers: Numbers


def measure(
    bench: Bench, name: str, server: Running, case: Case, events: int, *, rate: float = 0
) -> Sample:
    """Run one round and check that the work was done. Raises AssertionError if it was not."""
    numbers = bench.numbers
    first = numbers.take(events)
    bench.engine.sync(case.fsync)
    order = {"token": numbers.token, "first": first, "count": events, "size": case.size}
    bench.fire(prepare=order)
    stored = server.stored()
    buckets = server.ack_buckets()
    pids = server.pid, bench.engine.pid
    before = [machine.cpu_seconds(pid) for pid in pids]
    where = {"host": "127.0.0.1", "port": server.port, "connections": case.connections}
    seen = bench.fire(fire={**where, "rate": rate, "tls": server.authority})
    server.settle(stored + events)
    cpu, engine_cpu = (machine.cpu_seconds(p) - was for p, was in zip(pids, before, strict=True))
    after = dict(server.ack_buckets())
    assert seen["statuses"] == {"200": events}, f"{name}: {seen['statuses']}"
    if server.stores:
        assert server.stored() == stored + events, f"{name}: {server.stored() - stored} of {events}"
        _check_bodies(name, server, numbers, range(first, first + events), case.size)
    return Sample(
        contender=name,
        case=case,
        events=events,
        seconds=seen["seconds"],
        cpu_us=cpu / events * 1e6,
        valkey_cpu_us=engine_cpu / events * 1e6,
        latency_us=seen["latency_us"],
        ack_buckets=[(bound, after[bound] - count) for bound, count in buckets],
        resident_bytes=machine.resident_bytes(server.pid),
    )


def _check_bodies(name: str, server: Running, numbers: Numbers, expected: range, size: int) -> None:
    body = server.some_body()
    number = webhooks.number_of(body)
    assert number in expected, f"{name}: event {number} is not of this round"
    assert body == webhooks.body(numbers.token, number, size), f"{name}: a body was changed"
    stored, fresh = server.stored(), numbers.take(1)
    forged = webhooks.request(webhooks.body(numbers.token, fresh, size), fresh, forged=True)
    refused = post(server.port, forged, server.authority) == 401
    assert refused, f"{name}: a forged request was not refused"
    assert server.stored() == stored, f"{name}: a forged request was stored"


def _round(plan: Plan, bench: Bench, contender: Contender, number: int) -> list[Sample]:
    """Run the cases of one contender in round `number`, from 0. Raises `Missing`."""
    samples: list[Sample] = []
    bench.engine.empty()
    home = bench.folder / contender.name
    home.mkdir(exist_ok=True)
    with contender.start(home, bench.engine, core=machine.cores()[0]) as server:
        measure(bench, contender.name, server, Case(connections=16), plan.warm_up)
        for case in plan.cases(number, contender):
            made = [one.per_second for one in samples if one.case == BASE]
            if case.half and not made:
                continue
            rate = made[0] / 2 if case.half else 0
            events = plan.events[case]
            samples.append(measure(bench, contender.name, server, case, events, rate=rate))
    shutil.rmtree(home)
    return samples


def _rounds(plan: Plan) -> tuple[list[Sample], dict[str, str]]:
    """Run all rounds, in a folder of their own that is removed unless something goes wrong."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    core = machine.cores()[1]
    samples: list[Sample] = []
    missing: dict[str, str] = {}
    try:
        with valkey(folder / "valkey", core=core) as engine, load(folder, core=core) as fire:
            bench = Bench(folder, engine, fire, Numbers())
            for index in range(plan.rounds):
                for contender in plan.contenders():
                    try:
                        samples += _round(plan, bench, contender, index)
                    except Missing as error:
                        missing[contender.shown] = str(error)
                print(f"round {index + 1} of {plan.rounds} done", flush=True)
    except BaseException:
        print(f"logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)
    return samples, missing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connections", type=int, action="append", help="only this many, 1 KB; repeatable"
    )


def _plan(wanted: argparse.Namespace) -> Plan:
    events = EVENTS
    if wanted.connections:
        events = {Case(connections=c): EVENTS.get(Case(c), 20000) for c in wanted.connections}
    plan = Plan(events, only=tuple(wanted.only))
    if wanted.full:
        longer = {case: 5 * n for case, n in events.items()}
        plan = replace(plan, rounds=9, all_rounds=9, events=longer)
    return replace(plan, rounds=wanted.rounds or plan.rounds)


def run(wanted: argparse.Namespace) -> Results:
    plan = _plan(wanted)
    samples, missing = _rounds(plan)
    facts: dict[str, Any] = {
        "rounds": plan.rounds,
        "samples": [
            asdict(one) | {"ack_buckets": [[str(bound), n] for bound, n in one.ack_buckets]}
            for one in samples
        ],
    }
    return Results(
        "CPU of one webhook: verified, stored in Redis, acknowledged",
        ingest_table.table(samples),
        facts,
        panels=ingest_table.panels(samples),
        left_out=[f"{shown}: {why}" for shown, why in missing.items()],
    )
