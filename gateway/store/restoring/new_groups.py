"""Groups that Redis had and has lost are made again, from where they must begin."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call_together
from gateway.store.taking.consumer_group import Group

_ALL = range(keys.SHARDS)


class MadeGroups(NamedTuple):
    """How many groups were made again, and how many were there and set back to the beginning."""

    again: int
    set_back: int


async def put_back_groups(
    engine: Engine, names: Sequence[str], emptied: Iterable[int]
) -> MadeGroups:
    """See that all `names` have their groups. Safe to repeat.

    One that is missing begins with what there is. In shards that were `emptied` one that is there
    has been made since, and is set back if it began later. Raises `EngineUnavailable` or
    `EngineRefused`.
    """
    joins = [Group(shard, name).join("earliest") for shard in _ALL for name in names]
    backs = [_set_back(shard, name) for shard in sorted(emptied) for name in names]
    joined = await _all_of(engine, joins)
    return MadeGroups(sum(how != "there" for how in joined), sum(await _all_of(engine, backs)))


async def joined_anywhere(engine: Engine, name: str, shards: Iterable[int]) -> bool:
    """Whether `name` has a group on one of `shards`. Raises like `put_back_groups`."""
    for shard in shards:
        if await engine.command("HEXISTS", keys.subscription(shard, name), "start_seq"):
            return True
    return False


def _set_back(shard: int, name: str) -> ScriptCall[int]:
    names = (
        keys.events(shard),
        keys.shard_state(shard),
        keys.subscription(shard, name),
        keys.due(shard, name),
    )
    return ScriptCall("set_back", names, (name,), int)


async def _all_of(engine: Engine, calls: Sequence[ScriptCall[Any]]) -> list[Any]:
    results = await call_together(engine, calls)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results
