"""A script call as a value: what to send, and how to read the answer.

The parts of the stream build calls; whoever needs several of them answered sends them together,
in one round trip.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.engine.engine import Engine
from gateway.engine.replies import Failure
from gateway.engine.resp import Arg
from gateway.errors import EngineRefused, EngineUnavailable, Fenced
from gateway.store.scripts import script

T = TypeVar("T")


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
