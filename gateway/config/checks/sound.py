"""The sound parts of a file, by their routes: what has been reported as wrong is not among them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config.source import BROKEN, Route, Source


class Sound:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._wrong = frozenset(source.broken)

    @property
    def folder(self) -> Path:
        """What relative paths in the file are relative to."""
        return self._source.folder

    def report(self, route: Route, text: str, *, at_key: bool = False) -> None:
        """Note what is wrong at `route`, and what would be right."""
        self._source.report(route, text, at_key=at_key)

    def value(self, *route: str | int, default: Any = None) -> Any:
        """Return the value at `route`, the default if it is not given, BROKEN if it is wrong."""
        value = self._source.tree
        for depth, step in enumerate(route):
            if route[: depth + 1] in self._wrong:
                return BROKEN
            if value is None:
                return default
            if isinstance(step, int) and isinstance(value, list) and step < len(value):
                value = value[step]
            elif isinstance(step, str) and isinstance(value, dict):
                if step not in value:
                    return default
                value = value[step]
            else:
                return BROKEN
        return value

    def parsed(self, parse: Any, *route: str | int, default: Any) -> Any:
        """Return a duration or size in its unit, None if it cannot be told."""
        value = self.value(*route)
        if value is None:
            return default
        return parse(value) if isinstance(value, str) else None

    def entries(self, *route: str | int) -> Iterator[Route]:
        """Yield the route of each entry of a list."""
        value = self.value(*route)
        for index in range(len(value) if isinstance(value, list) else 0):
            yield (*route, index)

    def texts(self, listed: str, key: str) -> Iterator[tuple[Route, str]]:
        """Yield the sound texts under `key` of each entry of a list."""
        for entry in self.entries(listed):
            value = self.value(*entry, key)
            if isinstance(value, str):
                yield (*entry, key), value

    def unique(self, route: Route, value: str, listed: str, key: str, called: str) -> None:
        """Report `value` at `route` if an entry before it has the same under `key`."""
        first = next(place for place, other in self.texts(listed, key) if other == value)
        if first != route:
            line, _ = self._source.values[first]
            self.report(route, f"another {called} in line {line} has this {key}: change one")
