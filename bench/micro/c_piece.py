"""What a part of the C piece alone buys: the gateway with and without it, in pairs.

    python -m bench.micro.c_piece SCENARIO WITHOUT... [--pairs 7]
    python -m bench.micro.c_piece journal -- -Sockets -Syncing 0

WITHOUT is what GATEWAY_NATIVE leaves out (`gateway.native`): names of the C piece, joined by commas
where one needs the other, or 0 for all of it. A round has the whole C piece and each WITHOUT once, in
turns forwards and backwards, each on a gateway of its own. Prints the gateway's CPU microseconds for
each event, the medians with their spreads, and the median of the differences within the rounds.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import machine
from bench.broadcasters import GatewayBroadcaster
from bench.deliverers import GatewayDeliverer
from bench.gateways import Gateway
from bench.processes import Load, Valkey, load, valkey
from bench.report import spread
from bench.scenarios import delivery, feed, ingest
from bench.scenarios.ingest import Case

WHOLE = "1"


@dataclass(frozen=True, slots=True)
class Stage:
    """What all rounds share; `folder` is new in each."""

    folder: Path
    engine: Valkey
    fire: Load
    numbers: ingest.Numbers


# A scenario makes its rows on one gateway: CPU microseconds for each event (of the feed, each frame).
Scenario = Callable[[Stage], Mapping[str, float]]
SMALL = {Case(): 10_000, Case(connections=1): 2500, Case(connections=256): 10_000}


def _webhooks(ack: str, cases: Mapping[Case, int], **options: Any) -> Scenario:
    def measure(stage: Stage) -> Mapping[str, float]:
        stage.engine.empty()
        bench = ingest.Bench(stage.folder, stage.engine, stage.fire, stage.numbers)
        one = Gateway(ack, **options)
        with one.start(stage.folder, stage.engine, core=machine.cores()[0]) as server:
            ingest.measure(bench, one.name, server, Case(connections=16), 1500)
            return {
                case.shown: ingest.measure(bench, one.name, server, case, events).cpu_us
                for case, events in cases.items()
            }

    return measure


def _deliveries(stage: Stage) -> Mapping[str, float]:
    plan, one = delivery.Plan(events=10_000), GatewayDeliverer()
    home, engine, fire = stage.folder, stage.engine, stage.fire
    return {"one": delivery._measure(plan, one, 1, folder=home, engine=engine, fire=fire).cpu_us}


def _frames(case: feed.Case) -> Scenario:
    def measure(stage: Stage) -> Mapping[str, float]:
        one = GatewayBroadcaster()
        samples = feed._measure(feed.Plan(), one, case, stage.folder, stage.engine)
        return {each.phase: each.cpu_us for each in samples}

    return measure


TWO = {"server": {"workers": 2}}
SCENARIOS: dict[str, Scenario] = {
    "journal": _webhooks("journal", SMALL),
    "redis": _webhooks("redis", SMALL),
    "journal-tls": _webhooks("journal", {Case(): 5000}, tls=True),
    "redis-tls": _webhooks("redis", {Case(): 5000}, tls=True),
    "journal-workers": _webhooks("journal", {Case(): 10_000}, more=TWO),
    "redis-workers": _webhooks("redis", {Case(): 10_000}, more=TWO),
    "delivery": _deliveries,
    "feed": _frames(feed.Case(1000, 1, alone=100, in_flight=128, warm_up=30)),
    "feed-small": _frames(feed.Case(2000, 200, alone=200, in_flight=2000, warm_up=200)),
}


@contextmanager
def _stages() -> Iterator[Callable[[], Stage]]:
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-"))
    core, numbers = machine.cores()[1], ingest.Numbers()
    with valkey(folder / "valkey", core=core) as engine, load(folder, core=core) as fire:

        def stage() -> Stage:
            home = folder / "round"
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            return Stage(home, engine, fire, numbers)

        yield stage
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("without", nargs="+")
    parser.add_argument("--pairs", type=int, default=7)
    wanted = parser.parse_args()
    turns = [WHOLE, *wanted.without]
    found: dict[str, dict[str, list[float]]] = {}
    with _stages() as stage:
        for number in range(wanted.pairs):
            for each in turns if number % 2 else reversed(turns):
                os.environ["GATEWAY_NATIVE"] = each
                for row, cpu_us in SCENARIOS[wanted.scenario](stage()).items():
                    found.setdefault(row, {}).setdefault(each, []).append(cpu_us)
            print(f"round {number + 1} of {wanted.pairs} done", file=sys.stderr, flush=True)
    for row, of_row in found.items():
        whole = of_row[WHOLE]
        print(f"{wanted.scenario}, {row}: {spread(whole)} us with the whole C piece")
        for each in wanted.without:
            more = [100 * (cpu / own - 1) for cpu, own in zip(of_row[each], whole, strict=True)]
            print(f"  without {each}: {spread(of_row[each])}, more by {spread(more)} %")


if __name__ == "__main__":
    main()
