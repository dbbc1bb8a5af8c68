"""Which events a subscriber wants: apps, then type globs, then a CEL expression. Pure.

The cheap tests come first, so most events are never parsed. `where` is Google's CEL over one
variable, `event`, the parsed body: fields, `has()`, `in`, comparisons over ints and doubles,
`startsWith`, `endsWith`, `contains`, `matches` (RE2, linear), and `exists`, `exists_one`, `all`
over lists. A field that is missing or of another type means no match, and is counted: with
`has(event.x)` in front it is no error.

What an expression may cost is bounded: 2,000 characters, two list macros, 10,000 list items per
evaluation (the engine's own budget, about 25 ms; beyond it: no match, counted). `map` and
`filter` are refused, because the engine copies their list for every item: 9,000 items took a
second. What stays unbounded is comparing or searching a whole list inside of a macro: seconds,
for lists of many thousands, which no event of Stream's has. Measured, parsing included: 5 us for
a body of 1 KB, 40 us for one of 4 KB.
"""

import re
from collections.abc import Callable
from fnmatch import translate
from functools import cache
from typing import Any, NoReturn

import orjson

from gateway.event import Meta
from gateway.options import MatchOptions

MAX_CHARACTERS = 2_000
MAX_MACROS = 2

_STRING = re.compile(
    r'[rR]?"""(?:\\.|[^\\])*?"""|[rR]?\'\'\'(?:\\.|[^\\])*?\'\'\''
    r'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*',
    re.DOTALL,
)
_MACRO = re.compile(r"\.\s*(exists_one|exists|all|map|filter)\s*\(")
_PLACE = re.compile(r"<input>:(\d+):(\d+): ([^\n]*)")

# The engine's error texts may quote the body; these do not.
_ERRORS = {
    "NOT_FOUND": "a field is missing",
    "UNKNOWN": "a value has a type that the expression does not fit",
    "INTERNAL": "a list is too long: more than 10,000 items were visited",
}


class EvaluationError(Exception):
    """The expression has no answer for this event; the text quotes nothing of it."""


@cache
def _environment() -> Any:
    # Here, not above: 50 MB of disk and 6 MB of memory that most installations do without.
    try:
        from cel_expr_python import cel  # type: ignore[import-untyped]  # noqa: PLC0415
    except ModuleNotFoundError:
        raise ValueError(
            "match.where needs the extra: pip install 'stream-video-gateway[where]'"
        ) from None
    event = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables={"event": event})


def _refuse_costly(expression: str) -> None:
    if len(expression) > MAX_CHARACTERS:
        raise ValueError(f"an expression may have {MAX_CHARACTERS} characters, not more")
    macros = list(_MACRO.finditer(_STRING.sub(lambda m: '"' * len(m[0]), expression)))
    for macro in macros:
        if macro[1] in {"map", "filter"}:
            raise ValueError(
                f"column {macro.start() + 1}: {macro[1]}() costs too much; use exists() or all()"
            )
    if len(macros) > MAX_MACROS:
        raise ValueError(
            f"column {macros[MAX_MACROS].start() + 1}: an expression may have {MAX_MACROS} of "
            "exists(), exists_one() and all(), not more"
        )


def _readable(error: str) -> str:
    place = _PLACE.search(error)
    if place is None:
        return error.splitlines()[0].strip()[:200]
    line, column, message = place.groups()
    where = f"column {column}" if line == "1" else f"line {line}, column {column}"
    return f"{where}: {message[:200]}"


def _compiled(expression: str) -> Any:
    try:
        program = _environment().compile(expression)
    except (RuntimeError, TypeError) as error:
        raise ValueError(_readable(str(error))) from None
    kind = program.return_type().name()
    if kind not in {"BOOL", "DYN"}:
        raise ValueError(f"column 1: the result is {kind.lower()}, but must be true or false")
    return program


def _refuse_error(error: str) -> NoReturn:
    code = error.partition(":")[0]
    raise EvaluationError(_ERRORS.get(code, "the expression cannot be evaluated"))


def _result(program: Any, event: dict[str, Any]) -> bool:
    try:
        value = program.eval(data={"event": event})
        kind, result = value.type().name(), value.value()
    except (RuntimeError, TypeError, ValueError) as raised:
        _refuse_error(str(raised))
    if kind == "ERROR":
        _refuse_error(str(result))
    if kind != "BOOL":
        raise EvaluationError(f"the result is {kind.lower()}, not true or false")
    return bool(result)


def compile_where(expression: str) -> Callable[[dict[str, Any]], bool]:
    """Return the predicate that `expression` states.

    Raises ValueError, one line with the column, for one that is wrong or may cost too much, or
    where the engine is not installed.
    The predicate raises EvaluationError where the expression has no answer.
    """
    _refuse_costly(expression)
    program = _compiled(expression)
    return lambda event: _result(program, event)


def _glob_regex(globs: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(translate(glob) for glob in globs)) if globs else None


class Matcher:
    """What one subscriber wants. An event that `where` has no answer for is not wanted.

    `on_error` is called for each of those; `last_error` says why.
    """

    def __init__(self, options: MatchOptions, on_error: Callable[[], None] = lambda: None) -> None:
        self._on_error = on_error
        self.last_error = ""
        self._apps = frozenset(options.apps)
        # A glob without wildcards is the one name that it matches.
        self._names = frozenset(kind for kind in options.types if not set(kind) & set("*?["))
        self._globs = _glob_regex([kind for kind in options.types if kind not in self._names])
        self._any_type = not options.types
        self._where = compile_where(options.where) if options.where is not None else None
        self.wants_all = self._any_type and not self._apps and self._where is None

    def wants(self, meta: Meta, body: bytes) -> bool:
        """Tell whether the subscriber gets this event. Never raises."""
        if self._apps and meta.app not in self._apps:
            return False
        if not self._any_type and not self._wants_type(meta.type):
            return False
        return self._where is None or self._holds(self._where, body)

    def _wants_type(self, kind: str) -> bool:
        if kind in self._names:
            return True
        return self._globs is not None and self._globs.match(kind) is not None

    def _holds(self, where: Callable[[dict[str, Any]], bool], body: bytes) -> bool:
        try:
            return where(orjson.loads(body))
        except orjson.JSONDecodeError:
            error = "the body cannot be parsed"
        except EvaluationError as raised:
            error = str(raised)
        self.last_error = error
        self._on_error()
        return False
