"""The stored format: written once, and looked at by everybody who comes later.

Whatever reads or writes the streams must agree on the number of shards and on the fields. A
gateway that does not agree refuses to start rather than guess.
"""

import orjson

from gateway.engine.engine import Engine
from gateway.errors import EngineRefused
from gateway.store import keys

_OURS = {"version": keys.FORMAT_VERSION, "shards": keys.SHARDS}


async def check_format(engine: Engine) -> bool:
    """Make sure that this engine holds our format; return whether it was new to us.

    Raises `EngineRefused` when it holds another one or is being moved, `EngineUnavailable` when
    it is away.
    """
    await refuse_while_moving(engine)
    if await holds_our_format(engine):  # first: a full engine takes no SET
        return False
    if await engine.command("SET", keys.FORMAT, orjson.dumps(_OURS), "NX") is not None:
        return True
    return not await holds_our_format(engine)


async def write_format(engine: Engine) -> None:
    """Make this engine one of ours. Raises `EngineUnavailable`."""
    await engine.command("SET", keys.FORMAT, orjson.dumps(_OURS))


async def refuse_while_moving(engine: Engine) -> None:
    """Raise `EngineRefused` while this engine is on one side of a move."""
    arriving = await engine.command("GET", keys.MOVING_FROM)
    if await engine.command("EXISTS", keys.MOVING_TO) or (
        arriving is not None and b'"done":true' not in arriving
    ):
        raise EngineRefused(
            "this Redis is being moved by `gateway move`, which has not come to its end: run it"
            " again"
        )


async def holds_our_format(engine: Engine) -> bool:
    """Return whether this engine holds our format, False when it holds none. Changes nothing.

    Raises `EngineRefused` when it holds another one, `EngineUnavailable` when it is away.
    """
    found = await engine.command("GET", keys.FORMAT)
    if found is not None and _decoded(found) != _OURS:
        raise EngineRefused(
            f"this Redis holds streams of another format ({_shown(found)}; this gateway writes"
            f" version {_OURS['version']} with {_OURS['shards']} shards): start the gateway that"
            " wrote them, or point redis.url at another database"
        )
    return found is not None


def _decoded(found: bytes) -> object:
    try:
        return orjson.loads(found)
    except orjson.JSONDecodeError:
        return None


def _shown(found: bytes) -> str:
    return found[:100].decode(errors="replace")
