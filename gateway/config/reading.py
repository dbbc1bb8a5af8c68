"""Reads a YAML file as plain values, each with its place.

Event by event, so that every mistake is found in one pass and the text is never expanded: no
aliases, no merge keys, no tags, bounded depth. Variables of the environment are filled in after
parsing, value by value, so that none of them can change the structure of the file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gateway.config import scalars
from gateway.config.source import BROKEN, Mistake, Route, Source, shown

MAX_DEPTH = 30
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(content: bytes, *, folder: Path, environ: Mapping[str, str]) -> Source:
    """Read YAML; what is wrong with it stands in the result's `mistakes`. Never raises."""
    source = Source(folder)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        source.report_file(line, 1, "not UTF-8 text: save the file as UTF-8")
        return source
    try:
        source.tree = _Reader(source, text, environ).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _start(mark) if mark else (1, 1)
        source.report_file(*place, f"not valid YAML: {error.problem}{_hint(text, place[0])}")
    except yaml.YAMLError:
        source.report_file(*_unprintable(text), "not valid YAML: a control character")
    return source


def _start(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def _hint(text: str, line: int) -> str:
    near = text.splitlines()[line - 1 : line]
    if any("${" in words and "{" in words.replace("${", "") for words in near):
        return ' (inside { } a variable needs quotes, or lines without braces: "${NAME}")'
    return ""


def _unprintable(text: str) -> tuple[int, int]:
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    before = text[: found.start()] if found else ""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


class _Reader:
    """Turns the parser's events into values, one method per kind of node."""

    def __init__(self, source: Source, text: str, environ: Mapping[str, str]) -> None:
        self._source = source
        self._environ = environ
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))

    def document(self) -> Any:
        tree: Any = {}
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                node = next(self._events)
                if documents == 1:
                    empty = isinstance(node, yaml.ScalarEvent) and scalars.is_null(node.value)
                    tree = {} if empty else self._value(node, ())
                    continue
                place = _start(event.start_mark)
                self._source.mistakes.append(
                    Mistake(*place, "", "a second document: remove the `---` between them")
                )
                self._skip(node)
        return tree

    def _value(self, event: Any, route: Route) -> Any:
        self._source.values[route] = _start(event.start_mark)
        if not self._is_plain_yaml(event, route):
            self._skip(event)
            return BROKEN
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, route)
        if len(route) > MAX_DEPTH:
            self._skip(event)
            return self._source.report(route, "nested too deeply")
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(route)
        return self._mapping(route)

    def _is_plain_yaml(self, event: Any, route: Route) -> bool:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            what = "anchors (&) and aliases (*) are not supported: write the value out"
        elif event.tag is not None:
            what = "tags (!) are not supported: put text in quotes instead"
        else:
            return True
        self._source.report(route, what)
        return False

    def _skip(self, event: Any) -> None:
        """Pass over the node that begins with `event`."""
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth == 0:
                return
            event = next(self._events)

    def _sequence(self, route: Route) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*route, len(items))))
        return items

    def _mapping(self, route: Route) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event, route, found)
            if key is None:
                self._skip(next(self._events))
            else:
                self._source.keys[*route, key] = _start(event.start_mark)
                found[key] = self._value(next(self._events), (*route, key))
        return found

    def _key(self, event: Any, route: Route, found: dict[str, Any]) -> str | None:
        """Return the text of a key, or None after reporting why it cannot be one."""
        place = _start(event.start_mark)
        plain = isinstance(event, yaml.ScalarEvent) and not event.anchor and event.tag is None
        if not plain:
            wrong = "a key must be plain text"
            self._skip(event)
        elif event.value == "<<" and not event.style:
            wrong = "merge keys (<<) are not supported: write the keys out"
        elif event.value in found:
            first, _ = self._source.keys[*route, event.value]
            wrong = f"this key was given before, in line {first}: keep one of them"
        else:
            return str(event.value)
        self._source.mistakes.append(Mistake(*place, shown(route), wrong))
        return None

    def _scalar(self, event: Any, route: Route) -> Any:
        text, wrong = scalars.fill(event.value, self._environ)
        for why in wrong:
            self._source.report(route, why)
        if wrong:
            return BROKEN
        return text if event.style else self._word(text, route, filled=text != event.value)

    def _word(self, text: str, route: Route, *, filled: bool) -> Any:
        if scalars.is_null(text):
            # An empty section is left to its reader: all its keys may be commented out.
            return self._source.report(route, "the variable is empty") if filled else None
        try:
            return scalars.meaning(text)
        except ValueError as error:
            return self._source.report(route, str(error))
