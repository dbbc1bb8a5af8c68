"""Starting on another engine while the embedded one still holds something is refused.

Whoever changes `redis.url` may not know that events wait in the old place; nothing would ever
deliver them.
"""

from gateway import embedded
from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.options import Config
from gateway.store.upkeep.holdings import read_holdings


async def refuse_left_behind(config: Config) -> None:
    """Raise `GatewayError` with the counts if the embedded engine holds what somebody waits for.

    Starts it for the while if it has data; costs nothing where there is none.
    """
    if config.redis.url == "embedded" or not embedded.holds_data(config.data_dir):
        return
    max_bytes = config.redis.max_memory_bytes
    async with embedded.attached_or_started(config.data_dir, max_bytes) as url:
        engine = Engine(url, timeout_s=config.redis.timeout_s)
        try:
            found = await read_holdings(engine)
        finally:
            await engine.close()
    if any(found):
        raise GatewayError(
            f"the embedded engine in {config.data_dir} still holds events ({found}), which would"
            " be left behind: run `gateway move` to carry them over to redis.url, or take"
            f" {config.data_dir / 'valkey'} away if nobody needs them"
        )
