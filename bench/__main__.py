"""`python -m bench [ingest|sqs] [--full]`: run a scenario, print its table, keep its results."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

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
    parser.add_argument("scenario", nargs="?", default="ingest", choices=("ingest", "sqs"))
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

    if wanted.scenario == "sqs":
        from bench.scenarios import sqs  # noqa: PLC0415  # boto3 takes a second

        _report(sqs, _sqs_plan(sqs.Plan(size=wanted.size), wanted), wanted)
    else:
        _report(ingest, _ingest_plan(wanted), wanted)


def _sqs_plan(plan: Any, wanted: argparse.Namespace) -> Any:
    plan = plan.longer() if wanted.full else plan
    return replace(plan, rounds=wanted.rounds or plan.rounds)


def _ingest_plan(wanted: argparse.Namespace) -> ingest.Plan:
    plan = ingest.Plan(size=wanted.size, only=tuple(wanted.only))
    plan = plan.longer() if wanted.full else plan
    if wanted.rounds:
        plan = replace(plan, rounds=wanted.rounds)
    if wanted.connections:
        events = dict(plan.events)
        plan = replace(plan, events=tuple((c, events.get(c, 20000)) for c in wanted.connections))
    return plan


def _report(scenario: Any, plan: Any, wanted: argparse.Namespace) -> None:
    """Run a scenario, print its table, keep its results."""
    environment = _environment_line()
    print(environment, flush=True)
    samples = scenario.run(plan)
    table = scenario.table(samples)
    print(table)
    if not wanted.dry_run:
        RESULTS.mkdir(exist_ok=True)
        report = orjson.dumps(scenario.as_json(plan, samples), option=orjson.OPT_INDENT_2)
        (RESULTS / f"{wanted.scenario}.json").write_bytes(report)
        (RESULTS / f"{wanted.scenario}.md").write_text(f"{table}\n\n{environment}\n")


if __name__ == "__main__":
    main()
