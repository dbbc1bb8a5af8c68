"""`python -m bench [ingest] [--full]`: run a scenario, print its table, keep its results."""

import argparse
from dataclasses import replace
from pathlib import Path

import orjson

from bench import machine
from bench.scenarios import ingest

RESULTS = Path(__file__).with_name("results")


def _environment_line() -> str:
    facts = machine.environment()
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return (
        f"{facts['date']}; {facts['cpu']}, {facts['cores']} cores ({facts['pinning']}); Linux"
        f" {facts['kernel']}; Python {facts['python']}; {packages}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="ingest", choices=("ingest",))
    parser.add_argument("--full", action="store_true", help="more rounds, five times as long")
    parser.add_argument("--rounds", type=int, help="how many rounds (5; with --full 9)")
    parser.add_argument("--size", type=int, default=1024, help="bytes of a body (1024)")
    parser.add_argument(
        "--connections", type=int, action="append", help="only this many; repeatable"
    )
    parser.add_argument(
        "--only", action="append", default=[], help="only this contender; repeatable"
    )
    parser.add_argument("--dry-run", action="store_true", help="leave bench/results as it is")
    wanted = parser.parse_args()

    plan = ingest.Plan(size=wanted.size, only=tuple(wanted.only))
    plan = plan.longer() if wanted.full else plan
    if wanted.rounds:
        plan = replace(plan, rounds=wanted.rounds)
    if wanted.connections:
        events = dict(plan.events)
        plan = replace(plan, events=tuple((c, events.get(c, 20000)) for c in wanted.connections))

    environment = _environment_line()
    print(environment, flush=True)
    samples = ingest.run(plan)
    table = ingest.table(samples)
    print(table)
    if not wanted.dry_run:
        RESULTS.mkdir(exist_ok=True)
        report = orjson.dumps(ingest.as_json(plan, samples), option=orjson.OPT_INDENT_2)
        (RESULTS / "ingest.json").write_bytes(report)
        (RESULTS / "ingest.md").write_text(f"{table}\n\n{environment}\n")


if __name__ == "__main__":
    main()
