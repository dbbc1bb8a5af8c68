"""Does an event cost more when there are many calls, or when much is waiting?

Calls: as many events as there are calls come first, so that each call has been seen; then events
of all of them are sent, published, delivered over HTTP and acknowledged, and the CPU of the
gateway and of Valkey for that is divided by them. Backlog: a subscriber takes everything and
answers nothing, while events are sent until a million wait; on the way some are measured.
"""

import argparse
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from statistics import median
from typing import Any

from bench import machine
from bench.chart import Bar, Panel
from bench.deliverers import gateway_for
from bench.frame import Results
from bench.gateways import RunningGateway
from bench.processes import Load, Valkey, load, valkey, wait_until
from bench.receiver import receiver
from bench.report import markdown, spread

_CHUNK, _SIZE = 50000, 640
_ROOMY = {"max_age": "1d", "max_size": "64GiB"}


@dataclass(frozen=True, slots=True)
class Plan:
    """`backlogs`: how many wait when a measurement begins."""

    rounds: int = 1
    measured: int = 20000
    calls: tuple[int, ...] = (1000, 10000, 100000)
    backlogs: tuple[int, ...] = (0, 100000, 300000, 1000000)


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU per event, of all threads and children."""

    what: str
    count: int
    cpu_us: float
    valkey_cpu_us: float
    resident_bytes: int
    valkey_bytes: int


@dataclass(slots=True)
class _Run:
    """A gateway that is up, and the numbers of its events."""

    gateway: RunningGateway
    engine: Valkey
    fire: Load
    calls: int
    token: str
    sent: int = 0

    def send(self, count: int) -> None:
        order = {"token": self.token, "first": self.sent + 1, "count": count, "size": _SIZE}
        self.fire(prepare={**order, "calls": self.calls})
        where = {"host": "127.0.0.1", "port": self.gateway.port, "connections": 64}
        seen = self.fire(fire=where)
        assert seen["statuses"] == {"200": count}, seen["statuses"]
        self.sent += count
        self.gateway.settle(self.sent)
        assert self.gateway.stored() == self.sent, "Redis has another number of events"

    def measure(self, what: str, size: int, count: int, is_done: Callable[[], object]) -> Sample:
        """Send `count` more and see what they cost until `is_done`."""
        pids = self.gateway.pid, self.engine.pid
        before = [machine.cpu_seconds(pid) for pid in pids]
        self.send(count)
        wait_until(is_done, "all is delivered", within_s=120, every_s=0.02)
        own, its = (machine.cpu_seconds(p) - was for p, was in zip(pids, before, strict=True))
        return Sample(
            what,
            size,
            own * 1e6 / count,
            its * 1e6 / count,
            machine.resident_bytes(self.gateway.pid),
            machine.resident_bytes(self.engine.pid),
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--most", type=int, help="calls and waiting events, at most")


def run(wanted: argparse.Namespace) -> Results:
    plan = Plan(rounds=wanted.rounds or (5 if wanted.full else 1))
    if wanted.most:
        plan = replace(
            plan,
            calls=tuple(n for n in plan.calls if n <= wanted.most),
            backlogs=tuple(n for n in plan.backlogs if n <= wanted.most),
        )
    samples = list(_rounds(plan))
    facts = {"plan": asdict(plan), "samples": [asdict(one) for one in samples]}
    return Results("As it grows", _table(samples), facts, _panels(samples))


def _rounds(plan: Plan) -> Iterator[Sample]:
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    core = machine.cores()[1]
    try:
        with valkey(folder / "valkey", core=core) as engine, load(folder, core=core) as fire:
            for number in range(plan.rounds):
                for calls in plan.calls:
                    home = folder / f"{number}-calls-{calls}"
                    yield _many_calls(plan, calls, home, engine, fire)
                yield from _backlog(plan, folder / f"{number}-backlog", engine, fire)
                print(f"round {number + 1} of {plan.rounds} done", flush=True)
    except BaseException:
        print(f"logs are in {folder}", flush=True)
        raise
    shutil.rmtree(folder)


@contextmanager
def _started(
    folder: Path, engine: Valkey, fire: Load, url: str, *, calls: int, **more: Any
) -> Iterator[_Run]:
    engine.empty()
    gateway = gateway_for([url], **more)
    with gateway.start(folder, engine, core=machine.cores()[0]) as running:
        yield _Run(running, engine, fire, calls, token_hex(4))
    shutil.rmtree(folder / "data")


def _many_calls(plan: Plan, calls: int, folder: Path, engine: Valkey, fire: Load) -> Sample:
    folder.mkdir()
    total = max(calls, _CHUNK) + plan.measured
    room = total * (_SIZE + 16) + 4096
    with receiver(folder, core=machine.cores()[1], room_bytes=room) as sink:
        with _started(folder, engine, fire, sink.url, calls=calls, feed={"enabled": True}) as one:
            while one.sent < total - plan.measured:
                one.send(min(_CHUNK, total - plan.measured - one.sent))
            wait_until(lambda: sink.count == one.sent, "all is delivered", within_s=120)
            sample = one.measure("calls", calls, plan.measured, lambda: sink.count == total)
        assert len({body for _, body in sink.arrivals()}) == total, "an event came twice"
    return sample


def _backlog(plan: Plan, folder: Path, engine: Valkey, fire: Load) -> Iterator[Sample]:
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as hole:
        url = f"http://127.0.0.1:{hole.getsockname()[1]}/hole"
        waits = {"name": "s0", "kind": "http", "url": url, "concurrency": 8, "backlog": _ROOMY}
        with _started(folder, engine, fire, url, calls=1000, subscribers=[waits]) as one:
            one.send(10000)  # to warm up
            for waiting in plan.backlogs:
                while one.sent < waiting:
                    one.send(min(_CHUNK, waiting - one.sent))
                yield one.measure("waiting", waiting, plan.measured, lambda: True)


_SHOWN = {"calls": "{:,} calls, delivered", "waiting": "{:,} waiting, taken in"}


def _groups(samples: Sequence[Sample]) -> dict[tuple[str, int], list[Sample]]:
    found: dict[tuple[str, int], list[Sample]] = {}
    for one in samples:
        found.setdefault((one.what, one.count), []).append(one)
    return dict(sorted(found.items()))


def _table(samples: Sequence[Sample]) -> str:
    header = "with", "CPU us/event", "times the first", "Valkey us/event", "RSS MB", "Valkey MB"
    groups, rows = _groups(samples), []
    first: dict[str, float] = {}
    for (what, count), group in groups.items():
        cpu = median(one.cpu_us for one in group)
        rows.append(
            (
                _SHOWN[what].format(count),
                spread([one.cpu_us for one in group]),
                f"{cpu / first.setdefault(what, cpu):.2f}",
                spread([one.valkey_cpu_us for one in group]),
                f"{median(one.resident_bytes for one in group) / 1e6:.0f}",
                f"{median(one.valkey_bytes for one in group) / 1e6:.0f}",
            )
        )
    return markdown(header, rows)


def _panels(samples: Sequence[Sample]) -> list[Panel]:
    panels: dict[str, list[Bar]] = {}
    for (what, count), group in _groups(samples).items():
        cpu = [one.cpu_us for one in group]
        bar = Bar(_SHOWN[what].format(count), median(cpu), min(cpu), max(cpu), ours=True)
        panels.setdefault(what, []).append(bar)
    return [Panel(f"CPU us per event, {what}", bars) for what, bars in panels.items()]
