"""INFO: what a server says of itself: its memory, and how its append-only file fares.

Memory is told as the engine itself counts it when it refuses writes: without what it buffers for
its append-only file and for replicas.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gateway.engine.engine import Engine


def read_info(reply: bytes) -> dict[str, str]:
    """Return the fields of a reply to INFO, as text."""
    lines = reply.decode(errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines if not line.startswith("#"))
    return {name: value for name, colon, value in pairs if colon}


def number(fields: Mapping[str, str], name: str) -> int:
    """Return a field as a whole number, 0 where it is missing or none: not every server that
    speaks the protocol says there what Redis says.
    """
    text = fields.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


class Memory(NamedTuple):
    """`bound_bytes` 0: without a bound, or not told. `resident_bytes`: of the machine's memory."""

    used_bytes: int
    bound_bytes: int
    resident_bytes: int

    @property
    def share(self) -> float:
        """What is used of the bound, 0 without one."""
        return self.used_bytes / self.bound_bytes if self.bound_bytes else 0.0


class MasterMemory(NamedTuple):
    """`places`: which of the keys that were asked for are there."""

    places: list[int]
    memory: Memory


async def fullest(engine: Engine, names: Sequence[str]) -> MasterMemory:
    """Return the master that has used most of its bound, of those that have the keys `names`.

    Raises as `Engine.command`.
    """
    found = [
        MasterMemory(places, await memory_at(engine, names[places[0]]))
        for places in await engine.by_server(names)
    ]
    return max(found, key=lambda one: one.memory.share)


async def memory_at(engine: Engine, key: str) -> Memory:
    """Return the memory of the server of `key`. Raises as `Engine.command`."""
    return _memory(await engine.where(key, "INFO", "memory"))


def _memory(info: bytes) -> Memory:
    fields = read_info(info)
    used = number(fields, "used_memory") - number(fields, "mem_not_counted_for_evict")
    return Memory(max(0, used), number(fields, "maxmemory"), number(fields, "used_memory_rss"))


async def is_rewritten(engine: Engine) -> bool:
    """Whether the last rewrite of the append-only file went well, on every master.

    The file grows with every write, and a rewrite makes it as small as what it holds. One that
    fails, for want of memory or of room on the disk, is tried again by the server itself, seldom;
    nobody notices until the disk is full. Raises `EngineUnavailable`.
    """
    return all(map(_is_ok, await engine.everywhere("INFO", "persistence")))


def _is_ok(info: bytes) -> bool:
    return read_info(info).get("aof_last_bgrewrite_status", "ok") == "ok"
