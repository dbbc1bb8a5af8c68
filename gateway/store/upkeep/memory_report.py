"""What holds an engine's memory, in words for whoever has to make room.

Sizes are of what was put in; what each piece weighs in memory is more, by a third at most for
small ones.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from gateway.engine.engine import Engine
from gateway.options import MIB
from gateway.sizing import DIGEST_BYTES
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call
from gateway.store.taking.subscriptions import Subscriptions

_MOST_TOLD = 3


async def largest_holders(engine: Engine, shards: Iterable[int] = range(keys.SHARDS)) -> str:
    """Return what of `shards` holds most of the memory, the largest first; empty when nothing of
    ours does.

    Raises `EngineUnavailable` or `EngineRefused`.
    """
    names = sorted(await Subscriptions(engine).read())
    held: Counter[str] = Counter()
    for shard in shards:
        _add(held, names, await call(engine, _held(shard, names)))
    told = [(what, size) for what, size in held.most_common(_MOST_TOLD) if size > 0]
    return ", ".join(f"{what} {_size(size)}" for what, size in told)


def _held(shard: int, names: list[str]) -> ScriptCall[list[int]]:
    subscriptions = (keys.subscription(shard, name) for name in (keys.GATEWAY, *names))
    return ScriptCall(
        "held",
        (keys.events(shard), keys.shard_state(shard), keys.call_states(shard)[3], *subscriptions),
        (),
        list,
    )


def _add(held: Counter[str], names: list[str], row: list[Any]) -> None:
    stream, digests, calls, letters, *rest = row
    held["digests (ingest.dedupe_window)"] += digests * DIGEST_BYTES
    held["states of calls"] += calls
    held["the gateway's own dead letters"] += letters
    unread_most = 0
    for at, name in enumerate(names):
        unread, parked, dead = rest[3 * at : 3 * at + 3]
        unread_most = max(unread_most, unread)
        held[f"what waits for {name}"] += unread + parked
        held[f"dead letters of {name}"] += dead
    held["history"] += max(0, stream - unread_most)


def _size(size: int) -> str:
    return f"{size / MIB:.0f} MiB" if size >= MIB else f"{size >> 10} KiB"
