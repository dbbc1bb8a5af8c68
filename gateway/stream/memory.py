"""How much of its memory bound the engine has used."""

from gateway.stream.connection import Engine


async def used_share(engine: Engine) -> float:
    """Return used memory over `maxmemory`, 0 without a bound. Raises `StreamUnavailable`."""
    fields = await engine.command("INFO", "memory")  # redis-py makes a dict of this reply
    bound = int(fields.get("maxmemory", 0))
    return int(fields["used_memory"]) / bound if bound else 0.0
