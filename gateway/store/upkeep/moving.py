"""Moving: everything that is ours goes from one engine to another, and nothing stays behind.

Both are marked before the first key is copied, and a gateway starts on neither until all is done.
Cut off at any place, it is run again: what has not been copied is, what was is compared, and only
when all of it is there does the new engine become ours and is the old one emptied. Positions of
journals, dedupe and the ledger go along, so that nothing is delivered twice for having moved.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple
from uuid import uuid4

import msgspec

from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.store import keys
from gateway.store.format import holds_our_format, write_format
from gateway.store.scripts import script
from gateway.store.upkeep.activity import wait_until_quiet
from gateway.store.upkeep.copying import copy_key
from gateway.store.upkeep.holdings import Holdings, read_holdings
from gateway.store.upkeep.ledger import read_ledger

_OURS = "gw:*"
_PASSING = (b"gw:ticket:", b"gw:rate:", keys.HOLDERS.encode())  # they live for seconds
_MARKS = (keys.FORMAT, keys.MOVING_TO, keys.MOVING_FROM)


class _Mark(msgspec.Struct):
    """On both engines, while a move is under way; `done` on the new one ever after."""

    id: str
    done: bool = False


class Moved(NamedTuple):
    """What was carried over: `holdings`, in so many keys."""

    holdings: Holdings
    keys: int


async def move(source: Engine, target: Engine, say: Callable[[str], None]) -> Moved:
    """Carry over all that `source` holds, then empty it. `say` is told of the steps.

    Raises `GatewayError` when one of the two cannot be moved from or to, or is away.
    """
    mark = await _begin(source, target)
    if not mark.done:
        await wait_until_quiet(source)
        say(f"copying: {await read_holdings(source)}")
        await _copy_all(source, target)
        if await read_ledger(source) != await read_ledger(target):
            raise GatewayError("the copy differs from what was copied: run it again")
        await write_format(target)
        mark.done = True
        await _write(target, keys.MOVING_FROM, mark)
    say("all of it is there: emptying the old one")
    return Moved(await read_holdings(target), await _empty(source))


async def _begin(source: Engine, target: Engine) -> _Mark:
    """Mark both, or find the marks of a move that was cut off; return the new one's."""
    here, there = await _read(source, keys.MOVING_TO), await _read(target, keys.MOVING_FROM)
    if here is not None and there is not None and here.id == there.id:
        return there
    if here is not None:
        raise GatewayError(
            "a move from here to another Redis was cut off: run `gateway move` to that one again,"
            f" or delete the key {keys.MOVING_TO} here and all keys {_OURS} there"
        )
    if not await holds_our_format(source):
        if there is not None and there.done and not await _is_used(source):
            return there  # it was cut off when all was done
        raise GatewayError("there is nothing to move: no gateway has run there")
    if await _is_used(target):
        raise GatewayError(
            "the Redis to move to holds a gateway's data already (or is the one to move from):"
            " name an empty one, or an empty database of it"
        )
    if there is None:
        there = _Mark(uuid4().hex)
        await _write(target, keys.MOVING_FROM, there)
    await _write(source, keys.MOVING_TO, there)
    return there


async def _is_used(engine: Engine) -> bool:
    """Whether anything of a gateway is there; the mark of a move that has not begun is nothing."""
    is_done = (mark := await _read(engine, keys.MOVING_FROM)) is not None and mark.done
    async for name in engine.names(_OURS):
        if is_done or name != keys.MOVING_FROM.encode():
            return True
    return False


async def _copy_all(source: Engine, target: Engine) -> None:
    async for name in source.names(_OURS):
        if not name.startswith(_PASSING) and name.decode(errors="replace") not in _MARKS:
            await copy_key(source, target, name)


async def _empty(source: Engine) -> int:
    """Delete all that is ours, what says so last; return how many keys that was."""
    count = 0
    names = [name async for name in source.names(_OURS)]
    for name in names:
        if name.decode(errors="replace") not in _MARKS:
            count += await source.command("UNLINK", name)
    for mark in (keys.MOVING_FROM, keys.FORMAT, keys.MOVING_TO):
        await source.command("UNLINK", mark)
    return count


_Key = Literal["gw:moving_to", "gw:moving_from"]


async def _read(engine: Engine, key: _Key) -> _Mark | None:
    found = await engine.command("GET", key)
    return None if found is None else msgspec.json.decode(found, type=_Mark)


async def _write(engine: Engine, key: _Key, mark: _Mark) -> None:
    await engine.run(script("mark"), (key,), (msgspec.json.encode(mark),))
