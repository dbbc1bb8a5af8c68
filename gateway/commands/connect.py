"""What commands need that look at data: a way to the Redis that a configuration names.

Nothing here changes what Redis holds, not even to mark an empty one as ours: a running gateway
takes that mark's absence for a loss of data.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway import embedded
from gateway.engine.access import access_of
from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.options import Config
from gateway.store.format import holds_our_format, refuse_while_moving


@asynccontextmanager
async def redis_of(config: Config, *, moves: bool = False) -> AsyncIterator[Engine]:
    """Give the Redis of a configuration; an embedded one is started for the while if need be.

    Raises `EngineUnavailable`, `EngineRefused` when it holds another format or is being moved
    (but for whoever `moves` it), or `EmbeddedEngineError`.
    """
    async with _url(config) as url:
        access = access_of(config.redis)
        engine = Engine(url, timeout_s=config.redis.timeout_s, access=access)
        try:
            if not moves:
                await refuse_while_moving(engine)
            await holds_our_format(engine)
            yield engine
        finally:
            await engine.close()


@asynccontextmanager
async def _url(config: Config) -> AsyncIterator[str]:
    if config.redis.url != "embedded":
        yield config.redis.url
        return
    if not config.data_dir.is_dir():
        raise GatewayError(f"no gateway has run yet with data in {config.data_dir}")
    async with embedded.attached_or_started(config.data_dir, config.redis.max_memory_bytes) as url:
        yield url
