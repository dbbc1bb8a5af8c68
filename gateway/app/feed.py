"""The part that watches calls: Stream's own protocol, the plain feed, and Stream's client API."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import web

from gateway.app.shared import Shared


class FeedPart:
    """Nothing to watch with yet."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def add_routes(self, routes: web.Application) -> None:
        """Serve sockets and API on the public port."""

    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        return {"feed": self._run()}

    async def _run(self) -> None:
        await asyncio.Event().wait()

    async def take_no_more(self, timeout_s: float) -> None:
        """Let the watchers go: they are connections of the listener, which ends with them."""

    async def finish(self, timeout_s: float) -> None:
        """Nothing is left to be done once the watchers are gone."""

    async def close(self) -> None:
        """Drop connections to others."""
