"""What do workers cost? The same webhooks by one process and by two workers, CPU per event.

All processes of a gateway share the core that a server has in `ingest`, so this is no race: what
two workers on two cores can take more is what they do not spend more per event. Rounds, checks
and figures are those of `ingest`; in `settle` the journals of all workers are empty.
"""

import argparse
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from bench import machine
from bench.chart import Bar, Panel
from bench.frame import Results
from bench.gateways import Gateway
from bench.processes import load, valkey
from bench.report import markdown, spread
from bench.scenarios.ingest import Bench, Numbers, measure
from bench.scenarios.ingest_table import Case, Sample

WORKERS = (1, 2)
CASES = {Case(connections=4): 6000, Case(connections=64): 20000}
HEADER = (
    "load",
    "workers",
    "CPU us/event",
    "times one",
    "Valkey us/event",
    "events/s",
    "latency ms p50 / p99",
    "RSS MB",
)


def _gateway(workers: int) -> Gateway:
    one = Gateway("journal", more={"server": {"workers": workers}})
    one.name = one.shown = f"{workers} worker{'s' if workers > 1 else ''}"
    return one


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing beside the common ones; `--only "2 workers"` names a contender."""


def run(wanted: argparse.Namespace) -> Results:
    rounds = wanted.rounds or (9 if wanted.full else 3)
    longer = 4 if wanted.full else 1
    contenders = [_gateway(workers) for workers in WORKERS]
    contenders = [one for one in contenders if not wanted.only or one.name in wanted.only]
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    server_core, load_core = machine.cores()
    samples: list[Sample] = []
    with valkey(folder / "valkey", core=load_core) as engine, load(folder, core=load_core) as fire:
        bench = Bench(folder, engine, fire, Numbers())
        for index in range(rounds):
            for one in contenders:
                samples += _round(bench, one, server_core, longer)
            print(f"round {index + 1} of {rounds} done", flush=True)
    shutil.rmtree(folder)
    facts = {
        "rounds": rounds,
        "samples": [asdict(one) | {"ack_buckets": None} for one in samples],
    }
    return Results(
        "CPU of one webhook, by one process and by workers",
        _table(samples),
        facts,
        panels=_panels(samples),
    )


def _round(bench: Bench, contender: Gateway, core: int, longer: int) -> list[Sample]:
    bench.engine.empty()
    home = bench.folder / "home"
    home.mkdir()
    with contender.start(home, bench.engine, core=core) as server:
        measure(bench, contender.name, server, Case(connections=16), 3000)
        found = [
            measure(bench, contender.name, server, case, longer * events)
            for case, events in CASES.items()
        ]
    shutil.rmtree(home)
    return found


def _by_case(samples: Sequence[Sample]) -> dict[Case, dict[str, list[Sample]]]:
    found: dict[Case, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for one in samples:
        found[one.case][one.contender].append(one)
    return found


def _table(samples: Sequence[Sample]) -> str:
    rows = []
    for case, of_case in _by_case(samples).items():
        one = of_case.get("1 worker")
        for name, group in of_case.items():
            cpu = median(s.cpu_us for s in group)
            latency = [median(s.latency_us[p] for s in group) / 1000 for p in ("p50", "p99")]
            rows.append(
                (
                    case.shown,
                    name.split()[0],
                    spread([s.cpu_us for s in group]),
                    f"{cpu / median(s.cpu_us for s in one):.2f}" if one else "-",
                    spread([s.valkey_cpu_us for s in group]),
                    f"{median(s.per_second for s in group):.0f}",
                    f"{latency[0]:.2f} / {latency[1]:.2f}",
                    f"{median(s.resident_bytes for s in group) / 1e6:.0f}",
                )
            )
    return markdown(HEADER, rows)


def _panels(samples: Sequence[Sample]) -> list[Panel]:
    return [
        Panel(f"{case.shown}: CPU us per event", [_bar(*item) for item in of_case.items()])
        for case, of_case in _by_case(samples).items()
    ]


def _bar(name: str, group: Sequence[Sample]) -> Bar:
    values = [one.cpu_us for one in group]
    return Bar(name, median(values), min(values), max(values), ours=True, note="")
