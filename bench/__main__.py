"""`python -m bench [SCENARIO] [--full] ...`: run, print the table, keep the results."""

import argparse
import signal
import sys
import time

from bench.awake import awake
from bench.frame import SCENARIOS, as_text, environment_line, keep, scenario


def main() -> None:
    given = sys.argv[1:]
    named = bool(given) and given[0] in SCENARIOS
    for number in (signal.SIGTERM, signal.SIGHUP):  # not without putting things back
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    with awake():
        for name in given[:1] if named else SCENARIOS:
            _run(name, given[named:])


def _run(name: str, given: list[str]) -> None:
    one = scenario(name)
    wanted = _parser(name, one).parse_args(given)
    started = time.monotonic()
    print(f"{name}: {environment_line()}", flush=True)
    results = one.run(wanted)
    print(as_text(results), f"\n{name}: {time.monotonic() - started:.0f} s\n", flush=True)
    if not wanted.dry_run:
        keep(name, results)


def _parser(name: str, one: object) -> argparse.ArgumentParser:
    others = ", ".join(SCENARIOS)
    parser = argparse.ArgumentParser(
        prog=f"python -m bench {name}", description=one.__doc__, epilog=f"Scenarios: {others}."
    )
    parser.add_argument("--full", action="store_true", help="many and long rounds")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    parser.add_argument("--only", action="append", default=[], help="a contender; repeatable")
    parser.add_argument("--dry-run", action="store_true", help="leave bench/results as it is")
    scenario(name).add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
