"""The values of one YAML file, each with its place in it, and what is wrong with them.

A value that cannot be used is `BROKEN`, and nobody complains about it a second time.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Route = tuple[str | int, ...]  # keys and indexes that lead to a value

_NAMEABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,23}")
# Whatever stands below these may be a secret, even where it was meant to be a key.
_SECRET = ("secrets", "headers", "raw_credentials")


class Broken:
    """The type of `BROKEN`: stands for a value whose mistake has been reported."""


BROKEN: Final = Broken()


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """What is wrong at one place; `line` and `column` count from 1."""

    line: int
    column: int
    route: str
    text: str

    def __str__(self) -> str:
        about = f"{self.route}: " if self.route else ""
        return f"{self.line}:{self.column}: {about}{' '.join(self.text.split())}"


def is_nameable(key: str) -> bool:
    """Whether a key can be repeated in a message; a longer or odder one may be a secret."""
    return _NAMEABLE.fullmatch(key) is not None


def shown(route: Route) -> str:
    """Write a route as `subscribers[1].url`, without anything that may be a secret."""
    text = ""
    for depth, step in enumerate(route):
        if isinstance(step, str) and not is_nameable(step):
            break
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
        if step in _SECRET or route[: depth + 1] == ("redis", "url"):
            break
    return text.removeprefix(".")


class Source:
    """The values of one file (`tree`) and where each of them stands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder  # what relative paths in the file are relative to
        self.tree: Any = BROKEN
        self.mistakes: list[Mistake] = []
        self.broken: set[Route] = set()
        self.keys: dict[Route, tuple[int, int]] = {}
        self.values: dict[Route, tuple[int, int]] = {}

    def report(self, route: Route, text: str, *, at_key: bool = False) -> Broken:
        """Note a mistake at the value of `route`, at its key, or at the nearest known place."""
        line, column = self._place(route, at_key=at_key)
        self.mistakes.append(Mistake(line, column, shown(route), text))
        self.broken.add(route)
        return BROKEN

    def report_file(self, line: int, column: int, text: str) -> None:
        """Note a mistake that leaves no values to look at."""
        self.mistakes.append(Mistake(line, column, "", text))
        self.broken.add(())

    def _place(self, route: Route, *, at_key: bool) -> tuple[int, int]:
        if at_key and route in self.keys:
            return self.keys[route]
        while route and route not in self.values:
            route = route[:-1]
        return self.values.get(route, (1, 1))
