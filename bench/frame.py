"""What a scenario is to the bench, and what becomes of its results.

A scenario is a module in `bench/scenarios` named in `SCENARIOS`, with

    def add_arguments(parser: argparse.ArgumentParser) -> None   # of its own, beside the common
    def run(wanted: argparse.Namespace) -> Results

`wanted` has the common arguments: `full` (many and long rounds), `rounds` (None: as the scenario
thinks), `only` (names of contenders, empty: all). It prints its progress and raises if a contender did
not do its work; a contender that cannot be had here is a line in `Results.left_out`.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import orjson

from bench import chart, machine

RESULTS = Path(__file__).with_name("results")
# In the order of a run of all.
SCENARIOS = ("ingest", "delivery", "feed", "scale", "sqs", "growth")


@dataclass(frozen=True, slots=True)
class Results:
    """What a run has found. `table` is Markdown; `facts` is every round of it, for JSON."""

    title: str
    table: str
    facts: dict[str, Any]
    panels: Sequence[chart.Panel] = ()
    left_out: Sequence[str] = ()
    notes: Sequence[str] = field(default=())  # below the table


class Scenario(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, wanted: argparse.Namespace) -> Results: ...


def scenario(name: str) -> Scenario:
    return cast("Scenario", import_module(f"bench.scenarios.{name}"))


def keep(name: str, results: Results) -> None:
    """Write `results/<name>.md`, `.json` and `.svg`."""
    RESULTS.mkdir(exist_ok=True)
    text = f"{as_text(results)}\n\n{environment_line()}\n"
    (RESULTS / f"{name}.md").write_text(text)
    facts = {"scenario": name, "environment": machine.environment(), **results.facts}
    facts["left_out"] = list(results.left_out)
    (RESULTS / f"{name}.json").write_bytes(orjson.dumps(facts))
    if results.panels:
        drawn = chart.draw(results.title, results.panels, environment_line(short=True))
        (RESULTS / f"{name}.svg").write_text(drawn)


def as_text(results: Results) -> str:
    """Return table, notes and who is missing, as Markdown."""
    missing = [f"Left out: {line}" for line in results.left_out]
    return "\n\n".join((results.table, *results.notes, *missing))


def environment_line(*, short: bool = False) -> str:
    facts = machine.environment()
    cores = f"{facts['cores']} cores ({facts['pinning']}; {facts['idling']})"
    line = f"{facts['date']}; {facts['cpu']}, {cores}"
    if short:
        return line
    packages = ", ".join(f"{name} {number}" for name, number in facts["packages"].items())
    return f"{line}; Linux {facts['kernel']}; Python {facts['python']}; {packages}"
