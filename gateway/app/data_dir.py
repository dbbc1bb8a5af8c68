"""The data directory and what lives in it once: its lock, and the embedded engine.

Whoever runs the gateway holds both: the single process, or the supervisor for its workers. So do
commands that none may run beside.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.admin.engine_files import EngineFiles
from gateway.app.folder_trust import check_trust
from gateway.app.left_behind import refuse_left_behind
from gateway.cgroups import memory_limit_bytes
from gateway.embedded.engine import EmbeddedEngine
from gateway.embedded.locks import Lock
from gateway.errors import GatewayError
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.sizing import engine_bound_bytes, size

_log = logging.getLogger("gateway")
_LOCK_PATIENCE_S = 5.0


class DataDir:
    """`redis_url`: where the engine is; `lock_fd`: the lock, for processes that are to share it."""

    def __init__(self, config: Config, lock: Lock, embedded: EmbeddedEngine | None) -> None:
        self.embedded = embedded
        self.redis_url = config.redis.url if embedded is None else embedded.url
        self.lock_fd = lock.fd
        self._data_dir = config.data_dir

    def engine_files(self, metrics: Metrics) -> EngineFiles:
        """Return what is known of the embedded engine's files, counted in `metrics` too."""
        embedded = self.embedded
        if embedded is None:
            return EngineFiles(None)
        files = EngineFiles(self._data_dir, lambda: embedded.trouble)
        metrics.engine_cut_bytes.track(read=files.cut_bytes)
        return files


async def enter(config: Config, stack: AsyncExitStack) -> DataDir:
    """Take the data directory and set its engine going, until `stack` closes.

    Raises `GatewayError` when another gateway has it, or the engine cannot be started.
    """
    told = f"another gateway runs in {config.data_dir}: give each its data_dir"
    lock = await stack.enter_async_context(
        only_owner(config.data_dir, patience_s=_LOCK_PATIENCE_S, otherwise=told)
    )
    await refuse_left_behind(config)
    return DataDir(config, lock, await _embedded(config, stack))


@asynccontextmanager
async def only_owner(data_dir: Path, *, patience_s: float, otherwise: str) -> AsyncIterator[Lock]:
    """Hold the data directory: two journals in one folder would tear each other's records.

    Raises `GatewayError`, with `otherwise` when somebody else holds it for longer than we wait.
    """
    lock = _lock(data_dir)
    try:
        if not await lock.take_within(patience_s):
            raise GatewayError(otherwise)
        yield lock
    finally:
        lock.close()


def _lock(data_dir: Path) -> Lock:
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        check_trust(data_dir)
        return Lock(data_dir / "gateway.lock")
    except OSError as error:
        raise GatewayError(
            f"cannot use data_dir {data_dir}: {error.strerror or error}: name a directory that"
            " the gateway's user may write to"
        ) from error


async def _embedded(config: Config, stack: AsyncExitStack) -> EmbeddedEngine | None:
    if config.redis.url != "embedded":
        return None
    bound_bytes = engine_bound_bytes(config, memory_limit_bytes())
    if bound_bytes < config.redis.max_memory_bytes:
        log(
            _log,
            logging.WARNING,
            "redis.max_memory does not fit into the memory that this container may use: the"
            " embedded engine gets what is left of it (gateway check adds up)",
            max_memory=size(bound_bytes),
        )
    embedded = EmbeddedEngine(config.data_dir, max_memory_bytes=bound_bytes)
    await embedded.start()
    stack.push_async_callback(embedded.stop)
    return embedded
