"""One key, copied from one engine to another, whatever its type and wherever either lies.

By commands and not by DUMP: that ties the two to one version of one make. What is there already
is written over with the same, so a copy that was cut off is simply made again; of a stream, which
is most of the bytes, only what is still missing is sent.
"""

from typing import Any

from gateway.engine.engine import Engine
from gateway.errors import EngineRefused
from gateway.store.scripts import script

_PAGE = 64  # values at a time, of which each may be a body
_IDS = 1000


async def copy_key(source: Engine, target: Engine, name: bytes) -> int:
    """Copy a key; return how many members it has. Raises `EngineUnavailable`, `EngineRefused`."""
    kind = await source.command("TYPE", name)
    if kind == b"stream":
        await _copy_stream(source, target, name)
    elif kind == b"string":
        await target.command("SET", name, await source.command("GET", name))
        return 1
    elif kind in _WALKS:
        await _copy_members(source, target, name, *_WALKS[kind])
    else:
        raise EngineRefused(f"{name!r} is a {kind.decode()}, which no gateway has written")
    count, there = [await one.command(_LENGTHS[kind], name) for one in (source, target)]
    if count != there:
        raise EngineRefused(f"{name!r} has {count} members here and {there} there: run it again")
    return int(count)


_WALKS = {b"hash": ("HSCAN", "HSET"), b"set": ("SSCAN", "SADD"), b"zset": ("ZSCAN", "ZADD")}
_LENGTHS = {b"hash": "HLEN", b"set": "SCARD", b"zset": "ZCARD", b"stream": "XLEN"}


async def _copy_members(source: Engine, target: Engine, name: bytes, walk: str, write: str) -> None:
    cursor: Any = 0
    while True:
        cursor, page = await source.command(walk, name, cursor, "COUNT", _PAGE)
        if members := _arguments(walk, page):
            await target.command(write, name, *members)
        if int(cursor) == 0:
            return


def _arguments(walk: str, page: list[bytes]) -> list[bytes]:
    """Return what the writing command is given: what was read, but each score before its member."""
    if walk != "ZSCAN":
        return page
    return [part for pair in zip(page[1::2], page[::2], strict=True) for part in pair]


async def _copy_stream(source: Engine, target: Engine, name: bytes) -> None:
    await _copy_entries(source, target, name)
    groups = [_fields(row) for row in await source.command("XINFO", "GROUPS", name)]
    if not groups:  # the key has to be there even if all of it was trimmed
        await target.command("XGROUP", "CREATE", name, "moving", "0-0", "MKSTREAM")
        await target.command("XGROUP", "DESTROY", name, "moving")
    for group in groups:
        await _copy_group(source, target, name, group)
    state = _fields(await source.command("XINFO", "STREAM", name))
    await target.command(
        "XSETID",
        name,
        state["last-generated-id"],
        "ENTRIESADDED",
        state["entries-added"],
        "MAXDELETEDID",
        state["max-deleted-entry-id"],
    )


async def _copy_entries(source: Engine, target: Engine, name: bytes) -> None:
    last = await target.command("XREVRANGE", name, "+", "-", "COUNT", 1)
    after = b"(" + last[0][0] if last else b"-"
    while page := await source.command("XRANGE", name, after, "+", "COUNT", _PAGE):
        await target.in_one_go(name, [("XADD", name, entry, *fields) for entry, fields in page])
        after = b"(" + page[-1][0]


async def _copy_group(source: Engine, target: Engine, name: bytes, group: dict[str, Any]) -> None:
    """Make the group anew, at the same place, with the same entries read and not settled."""
    title = group["name"]
    await target.in_one_go(
        name,
        [
            ("XGROUP", "CREATE", name, title, "0-0", "MKSTREAM"),
            ("XGROUP", "DESTROY", name, title),
            ("XGROUP", "CREATE", name, title, group["last-delivered-id"]),
        ],
        may_fail=1,
    )
    begin = b"-"
    while page := await source.run(script("pending"), [name.decode()], [title, begin, _IDS]):
        for consumer in {row[1] for row in page}:
            ids = [row[0] for row in page if row[1] == consumer]
            await target.run(script("claim"), [name.decode()], [title, consumer, *ids])
        begin = b"(" + page[-1][0]


def _fields(flat: Any) -> dict[str, Any]:
    return {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
