"""The gateway as one process: everything in it, and its admin listener beside."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from gateway.admin.engine_files import EngineFiles
from gateway.admin.ledger import JournalSide, compose
from gateway.admin.server import AdminServer
from gateway.app import data_dir
from gateway.app.part import Ports
from gateway.app.process import Process
from gateway.app.role import Role
from gateway.options import Config

_EMBEDDED_START_S = 1.0


async def run(
    config: Config,
    role: Role,
    stop: asyncio.Event,
    *,
    listening: socket.socket | None,
    on_ready: Callable[[Ports], None],
) -> None:
    """Run until `stop`, then drain. Raises `GatewayError` when it cannot start or go on."""
    async with AsyncExitStack() as stack:
        place = await data_dir.enter(config, stack)
        process = await Process.open(config, role, place.redis_url, stack, listening=listening)
        files = place.engine_files(process.metrics)
        admin = AdminServer(config.admin, _Shown(process, files))
        await admin.start()
        stack.push_async_callback(admin.stop)
        on_ready(Ports(process.port, admin.port))
        if place.embedded is not None:
            # Webhooks are taken already; the loops need not begin with a complaint.
            await place.embedded.wait_ready(_EMBEDDED_START_S)
        await process.run(stop)


class _Shown:
    """One process, as the admin listener shows it."""

    def __init__(self, process: Process, files: EngineFiles) -> None:
        self._process, self._files = process, files

    async def metrics(self) -> str:
        return self._process.metrics.render()

    async def reasons(self) -> list[str]:
        return self._files.reasons() + self._process.reasons()

    async def warnings(self) -> list[str]:
        return await self._files.warnings() + self._process.warnings()

    async def ledger(self) -> dict[str, Any]:
        return await self._files.judged(await compose(self._process.engine, self._sides))

    async def _sides(self) -> list[JournalSide]:
        return self._process.sides()
