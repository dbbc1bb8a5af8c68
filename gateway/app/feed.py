"""The part that watches calls: Stream's own protocol, the plain feed, and Stream's client API."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import web

from gateway.app.shared import Shared
from gateway.calls.access import Access
from gateway.calls.tokens import Tokens
from gateway.feed.service import FeedService
from gateway.stream.call_store import CallStore
from gateway.stream.connection import tls_arguments


class FeedPart:
    """Nothing of it exists where the configuration turns it off."""

    def __init__(self, shared: Shared) -> None:
        config = shared.config
        self._feed: FeedService | None = None
        if not config.feed.enabled:
            return
        tokens, calls = Tokens(config.apps), CallStore(shared.engine)
        self._feed = FeedService(
            config,
            shared.engine,
            shared.metrics,
            tokens=tokens,
            access=Access(config.feed.access, calls),
            calls=calls,
            tls=tls_arguments(config.redis),
        )

    def add_routes(self, routes: web.Application) -> None:
        """Serve sockets and API on the public port."""
        if self._feed is not None:
            self._feed.add_routes(routes)

    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        return {"feed": self._run()}

    async def _run(self) -> None:
        if self._feed is not None:
            await self._feed.run()
        await asyncio.Event().wait()

    async def take_no_more(self, timeout_s: float) -> None:
        """Let the watchers go: they are no connections of the listener's any more."""
        if self._feed is not None:
            await self._feed.drain(timeout_s)

    async def finish(self, timeout_s: float) -> None:
        """Nothing is left to be done once the watchers are gone."""

    async def close(self) -> None:
        """Drop connections to others."""
