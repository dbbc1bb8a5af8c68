"""How much of its memory bound an engine has used.

As the engine itself counts it when it refuses writes: without what it buffers for its
append-only file and for replicas.
"""

from typing import NamedTuple

from gateway.stream.connection import Engine
from gateway.stream.info import number, read_info


class Memory(NamedTuple):
    """`bound_bytes` 0: without a bound, or not told. `resident_bytes`: of the machine's memory."""

    used_bytes: int
    bound_bytes: int
    resident_bytes: int

    @property
    def share(self) -> float:
        """What is used of the bound, 0 without one."""
        return self.used_bytes / self.bound_bytes if self.bound_bytes else 0.0


class Server(NamedTuple):
    """One of those that have shards."""

    shards: list[int]
    memory: Memory


async def fullest(engine: Engine) -> Server:
    """Return the one that has used most of its bound: of a Cluster, each master has its own.

    Raises as `Engine.command`.
    """
    found = [Server(some, await memory_at(engine, some[0])) for some in await engine.by_server()]
    return max(found, key=lambda one: one.memory.share)


async def memory_at(engine: Engine, shard: int) -> Memory:
    """Return the memory of the server that has `shard`. Raises as `Engine.command`."""
    return _memory(await engine.about(shard, "INFO", "memory"))


def _memory(info: bytes) -> Memory:
    fields = read_info(info)
    used = number(fields, "used_memory") - number(fields, "mem_not_counted_for_evict")
    return Memory(max(0, used), number(fields, "maxmemory"), number(fields, "used_memory_rss"))
