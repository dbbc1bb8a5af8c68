"""Whether an engine keeps what it is given. One that may throw events away is not used.

Of a Cluster every master is asked. Asked with INFO, which hosted services answer too where they
refuse CONFIG.
"""

from gateway.errors import StreamRefused
from gateway.stream.connection import Engine


async def check_durability(engine: Engine, *, allow_volatile: bool) -> None:
    """Make sure that this engine evicts nothing, and keeps its data over a restart.

    `allow_volatile` waives the second: a restart of Redis then costs what the journal does not
    hold any more. Raises `StreamRefused`, or `StreamUnavailable` when it is away.
    """
    for memory in await engine.everywhere("INFO", "memory"):
        policy = _text(memory.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction":
            raise StreamRefused(
                f"this Redis would throw events away when it is full (maxmemory-policy {policy}):"
                " set maxmemory-policy to noeviction, or point redis.url at another one"
            )
    for persistence in await engine.everywhere("INFO", "persistence"):
        if not allow_volatile and not int(persistence.get("aof_enabled", 0)):
            raise StreamRefused(
                "this Redis forgets everything when it restarts (appendonly no): set appendonly to"
                " yes, or write allow_volatile: true under redis if replicas keep its data"
            )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
