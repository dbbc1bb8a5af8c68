"""Our Lua scripts, and calls of them as values.

Each script is a file in `lua/`, whose opening comment is its contract. All are read at the start:
later there may be no file left to open. The parts of the store build calls; whoever needs several
of them answered sends them together, in one round trip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from gateway.engine.engine import Engine
from gateway.engine.replies import Failure
from gateway.engine.resp import Arg
from gateway.engine.script import Script
from gateway.errors import EngineRefused, EngineUnavailable, Fenced

T = TypeVar("T")
_FOLDER = Path(__file__).with_name("lua")

_SCRIPTS = {path.stem: Script(path.stem, path.read_bytes()) for path in _FOLDER.glob("*.lua")}


def script(name: str) -> Script:
    """Return the script in `lua/<name>.lua`. Raises `KeyError` for an unknown one."""
    return _SCRIPTS[name]


@cache
def joined(name: str) -> Script:
    """Return the script that does for many shards, in one call, what `name` does for one."""
    one, many = script(name).source, script("joined").source
    return Script(f"{name}, joined", b"local function run(KEYS, ARGV)\n" + one + b"end\n" + many)


@dataclass(frozen=True, slots=True)
class ScriptCall(Generic[T]):
    """One call of `lua/<script>.lua`; `read` turns its raw reply into a value."""

    script: str
    keys: Sequence[str]
    args: Sequence[Arg]
    read: Callable[[Any], T]


async def call(engine: Engine, one: ScriptCall[T]) -> T:
    """Send one call. Raises `EngineUnavailable`, `EngineRefused` or `Fenced`."""
    return one.read(await engine.run(script(one.script), one.keys, one.args))


async def call_together(engine: Engine, calls: Sequence[ScriptCall[Any]]) -> list[Any | Failure]:
    """Send `calls` in one round trip; each has its own value, or the error that it met.

    Raises `EngineUnavailable` when the connection fails: every outcome is then unknown.
    """
    if not calls:
        return []
    results = await engine.run_many([(script(one.script), one.keys, one.args) for one in calls])
    return [
        result
        if isinstance(result, (EngineUnavailable, EngineRefused, Fenced))
        else one.read(result)
        for one, result in zip(calls, results, strict=True)
    ]


def group_is_gone(error: object) -> bool:
    """Whether `error` says that the subscriber has no group on this shard (any more)."""
    return isinstance(error, EngineRefused) and "NOGROUP" in str(error)
