"""How much of its memory bound the engine has used."""

from gateway.stream.connection import Engine
from gateway.stream.info import read_info


async def used_share(engine: Engine) -> float:
    """Return used memory over `maxmemory`, 0 without a bound; of a Cluster the fullest master's.

    Raises `StreamUnavailable`.
    """
    return max(map(_share, await engine.everywhere("INFO", "memory")))


def _share(info: bytes) -> float:
    fields = read_info(info)
    bound = int(fields.get("maxmemory", 0))
    return int(fields["used_memory"]) / bound if bound else 0.0
