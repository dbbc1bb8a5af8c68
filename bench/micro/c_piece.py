"""What a part of the C piece alone buys: the gateway with and without it, in pairs.

    python -m bench.micro.c_piece SCENARIO [--pairs 7] -- WITHOUT...
    python -m bench.micro.c_piece redis --pairs 20 -- -Sockets -Syncing 0

WITHOUT is what GATEWAY_NATIVE leaves out (`gateway.native`): names of the C piece, joined by commas
where one needs the other, or 0 for all of it. A round has the whole C piece and each WITHOUT once, in
turns forwards and backwards. For webhooks the gateways run side by side, and take turns at pieces of
load; for the rest each round starts them anew. Prints the gateway's CPU microseconds for each event
(of the feed, each frame): medians with their spreads, and the differences within the rounds.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import machine
from bench.broadcasters import GatewayBroadcaster
from bench.deliverers import GatewayDeliverer
from bench.gateways import Gateway
from bench.processes import load, valkey
from bench.report import spread
from bench.scenarios import delivery, feed, ingest
from bench.scenarios.ingest import Bench
from bench.scenarios.ingest_table import Case
from bench.started import Running

WHOLE = "1"
WARM_UP = 3000
# Enough for each shard to have two hundred events of a piece, among which `measure` looks at one.
CASES = {Case(): 3000, Case(connections=256): 3000, Case(connections=1): 2500}
TWO = {"server": {"workers": 2}}

# What the rows of a scenario cost, with what the environment says: one round.
Rows = Mapping[str, float]
Measure = Callable[[Bench, str], Rows]


@contextmanager
def _left_out(what: str) -> Iterator[None]:
    os.environ["GATEWAY_NATIVE"] = what
    yield
    del os.environ["GATEWAY_NATIVE"]


def _started(
    bench: Bench, ack: str, turns: Sequence[str], stack: ExitStack, **options: Any
) -> Measure:
    """Start one gateway for each of `turns`, and let the next round have a piece of load."""
    servers: dict[str, Running] = {}
    for number, each in enumerate(turns):
        home = bench.folder / str(number)
        home.mkdir()
        with _left_out(each):
            one = Gateway(ack, **options)
            servers[each] = stack.enter_context(
                one.start(home, bench.engine, core=machine.cores()[0])
            )
        ingest.measure(bench, each, servers[each], Case(connections=16), WARM_UP)
    cases = {Case(): CASES[Case()]} if options else CASES

    def measure(bench: Bench, turn: str) -> Rows:
        return {
            case.shown: ingest.measure(bench, turn, servers[turn], case, events).cpu_us
            for case, events in cases.items()
        }

    return measure


def _deliveries(bench: Bench, turn: str) -> Rows:
    plan, one = delivery.Plan(events=10_000), GatewayDeliverer()
    home = _anew(bench.folder / "home")
    with _left_out(turn):
        sample = delivery._measure(plan, one, 1, folder=home, engine=bench.engine, fire=bench.fire)
    return {"one subscriber": sample.cpu_us}


def _frames(case: feed.Case) -> Measure:
    def measure(bench: Bench, turn: str) -> Rows:
        home = _anew(bench.folder / "home")
        with _left_out(turn):
            samples = feed._measure(feed.Plan(), GatewayBroadcaster(), case, home, bench.engine)
        return {each.phase: each.cpu_us for each in samples}

    return measure


def _anew(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


WEBHOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "journal": ("journal", {}),
    "redis": ("redis", {}),
    "journal-tls": ("journal", {"tls": True}),
    "redis-tls": ("redis", {"tls": True}),
    "journal-workers": ("journal", {"more": TWO}),
    "redis-workers": ("redis", {"more": TWO}),
}
OTHERS: dict[str, Measure] = {
    "delivery": _deliveries,
    "feed": _frames(feed.Case(1000, 1, alone=100, in_flight=128, warm_up=30)),
    "feed-small": _frames(feed.Case(2000, 200, alone=200, in_flight=2000, warm_up=200)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", choices=[*WEBHOOKS, *OTHERS])
    parser.add_argument("without", nargs="+")
    parser.add_argument("--pairs", type=int, default=7)
    wanted = parser.parse_args()
    turns = [WHOLE, *wanted.without]
    found: dict[str, dict[str, list[float]]] = {}
    folder, core = Path(tempfile.mkdtemp(prefix="gateway-bench-")), machine.cores()[1]
    with (
        valkey(folder / "valkey", core=core) as engine,
        load(folder, core=core) as fire,
        ExitStack() as stack,
    ):
        bench = Bench(folder, engine, fire, ingest.Numbers())
        if wanted.scenario in WEBHOOKS:
            ack, options = WEBHOOKS[wanted.scenario]
            measure = _started(bench, ack, turns, stack, **options)
        else:
            measure = OTHERS[wanted.scenario]
        for number in range(wanted.pairs):
            for each in turns if number % 2 else reversed(turns):
                for row, cpu_us in measure(bench, each).items():
                    found.setdefault(row, {}).setdefault(each, []).append(cpu_us)
            print(f"round {number + 1} of {wanted.pairs} done", file=sys.stderr, flush=True)
    shutil.rmtree(folder)
    for row, of_row in found.items():
        whole = of_row[WHOLE]
        print(f"{wanted.scenario}, {row}: {spread(whole)} us with the whole C piece")
        for each in wanted.without:
            more = [100 * (cpu / own - 1) for cpu, own in zip(of_row[each], whole, strict=True)]
            print(f"  without {each}: {spread(of_row[each])}, more by {spread(more)} %")


if __name__ == "__main__":
    main()
