"""Whether the engine still gets its append-only file rewritten.

The file grows with every write, and a rewrite makes it as small as what it holds. One that fails,
for want of memory or of room on the disk, is tried again by the server itself, seldom; nobody
notices until the disk is full.
"""

from gateway.engine.engine import Engine
from gateway.engine.info import read_info


async def is_rewritten(engine: Engine) -> bool:
    """Whether the last rewrite went well, on every master. Raises `EngineUnavailable`."""
    return all(map(_is_ok, await engine.everywhere("INFO", "persistence")))


def _is_ok(info: bytes) -> bool:
    return read_info(info).get("aof_last_bgrewrite_status", "ok") == "ok"
