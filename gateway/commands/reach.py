"""What commands need first: the configuration, and a way to the Redis that it names.

Nothing here changes what Redis holds, not even to mark an empty one as ours: a running gateway
takes that mark's absence for a loss of data.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from gateway import config as configuration
from gateway import embedded
from gateway.errors import GatewayError
from gateway.options import Config
from gateway.stream.access import access_of
from gateway.stream.connection import Engine
from gateway.stream.format import holds_our_format, refuse_while_moving

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("config.yaml"),
    show_default=True,
    help="The configuration file.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
JSON = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def load(path: Path) -> Config:
    """Return the configuration at `path`. Raises `ConfigError`."""
    return configuration.load(path, os.environ)


@asynccontextmanager
async def redis_of(config: Config, *, moves: bool = False) -> AsyncIterator[Engine]:
    """Give the Redis of a configuration; an embedded one is started for the while if need be.

    Raises `StreamUnavailable`, `StreamRefused` when it holds another format or is being moved
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
