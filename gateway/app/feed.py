"""The part that watches calls: Stream's own protocol, the plain feed, and Stream's client API."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from aiohttp import web

from gateway.api.send_event import SendEvent, Store
from gateway.app.shared import Shared
from gateway.calls.access import Access
from gateway.calls.tokens import Tokens
from gateway.feed.service import FeedService
from gateway.stream.call_store import CallStore
from gateway.stream.connection import tls_arguments


class FeedPart:
    """Nothing of it exists where the configuration turns it off."""

    def __init__(self, shared: Shared, store: Store) -> None:
        """`store` takes the events that are made here."""
        config = shared.config
        self._feed: FeedService | None = None
        self._send_event: SendEvent | None = None
        if not config.feed.enabled:
            return
        tokens, calls = Tokens(config.apps), CallStore(shared.engine)
        access = Access(config.feed.access, calls)
        # Where Stream is behind us it makes them, and its webhook brings them.
        if config.upstream.url is None or config.upstream.custom_events == "local":
            self._send_event = SendEvent(
                tokens, access, store, shared.metrics, config.server.body_timeout_s
            )
        self._feed = FeedService(
            config,
            shared.engine,
            shared.metrics,
            tokens=tokens,
            access=access,
            calls=calls,
            tls=tls_arguments(config.redis),
        )

    def add_routes(self, routes: web.Application) -> None:
        """Serve sockets and API on the public port."""
        if self._feed is not None:
            self._feed.add_routes(routes)
        if self._send_event is not None:
            for route in self._send_event.routes():
                routes.router.add_route(*route)

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
