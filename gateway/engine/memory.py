"""How much of its memory bound an engine has used.

As the engine itself counts it when it refuses writes: without what it buffers for its
append-only file and for replicas.
"""

from typing import NamedTuple

from gateway.engine.engine import Engine
from gateway.engine.info import number, read_info


class Memory(NamedTuple):
    """`bound_bytes` 0: without a bound, or not told. `resident_bytes`: of the machine's memory."""

    used_bytes: int
    bound_bytes: int
    resident_bytes: int

    @property
    def share(self) -> float:
        """What is used of the bound, 0 without one."""
        return self.used_bytes / self.bound_bytes if self.bound_bytes else 0.0


async def used_share(engine: Engine) -> float:
    """Return used memory over `maxmemory`, 0 without a bound; of a Cluster the fullest master's.

    Raises `EngineUnavailable`.
    """
    return max(_memory(info).share for info in await engine.everywhere("INFO", "memory"))


async def memory_at(engine: Engine, key: str) -> Memory:
    """Return the memory of the server of `key`. Raises as `Engine.command`."""
    return _memory(await engine.where(key, "INFO", "memory"))


def _memory(info: bytes) -> Memory:
    fields = read_info(info)
    used = number(fields, "used_memory") - number(fields, "mem_not_counted_for_evict")
    return Memory(max(0, used), number(fields, "maxmemory"), number(fields, "used_memory_rss"))
