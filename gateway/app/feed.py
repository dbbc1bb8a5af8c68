"""The part that watches calls: Stream's own protocol, the plain feed, and Stream's client API."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from gateway.api.calls import CallParts
from gateway.api.send_event import Store
from gateway.api.service import ApiService
from gateway.app.part import Shared
from gateway.calls import exposure
from gateway.calls.access import Access
from gateway.calls.allowance import Allowance
from gateway.calls.keeper import Keeper
from gateway.calls.known_calls import KnownCalls
from gateway.calls.sweeper import CallSweeper
from gateway.calls.tokens import Tokens
from gateway.errors import EngineUnavailable
from gateway.feed.service import FeedService
from gateway.store.rates import RateStore
from gateway.store.taking.holders import Holder

_RELEASE_S = 1.0


class FeedPart:
    """Nothing of it exists where the configuration turns it off."""

    def __init__(self, shared: Shared, store: Store, holder: Holder) -> None:
        """`store` takes the events that are made here; `holder` as DeliveryPart's."""
        config = shared.config
        self._feed: FeedService | None = None
        self._api: ApiService | None = None
        self._keeper: Keeper | None = None
        if not config.feed.enabled:
            return
        tokens = Tokens(config.apps, exposure.guest_apps(config))
        calls = KnownCalls(shared.engine)
        access = Access(
            exposure.open_apps(config), calls, made_here_counts=config.upstream.url is None
        )
        allowance = Allowance(config.feed, RateStore(shared.engine), shared.metrics.too_fast)
        self._feed = FeedService(
            config,
            shared.engine,
            shared.metrics,
            tokens=tokens,
            access=access,
            allowance=allowance,
            calls=calls,
            shows=None if config.upstream.url is None else self._shows,
        )
        self._keeper = Keeper(
            shared.engine, calls, shared.metrics, holder=holder, ttl_s=config.redis.lease_s
        )
        self._sweeper = CallSweeper(calls, config.feed)
        parts = CallParts(
            tokens,
            allowance,
            access,
            calls,
            self._feed.registration.watch,
            self._sweeper.make_room,
            config.server.body_timeout_s,
        )
        self._api = ApiService(config, shared.metrics, parts, store)

    async def _shows(self, app: str, cid: str, token: str) -> bool:
        return self._api is not None and await self._api.shows(app, cid, token)

    def add_routes(self, routes: web.Application) -> None:
        """Serve sockets and API on the public port."""
        if self._feed is not None:
            self._feed.add_routes(routes)
        if self._api is not None:
            self._api.add_routes(routes)

    def loops(self) -> Mapping[str, Coroutine[Any, Any, None]]:
        if self._feed is None or self._keeper is None:
            return {}
        return {
            "feed": self._feed.run(),
            "call-keeper": self._keeper.run(),
            "call-sweeper": self._sweeper.run(),
        }

    async def take_no_more(self, timeout_s: float) -> None:
        """Let the watchers go: they are no connections of the listener's any more."""
        if self._feed is not None:
            await self._feed.drain(timeout_s)

    async def finish(self, timeout_s: float) -> None:
        """Nothing is left to be done once the watchers are gone."""

    async def close(self) -> None:
        if self._api is not None:
            await self._api.close()
        if self._keeper is not None:
            with suppress(EngineUnavailable, TimeoutError):  # then they expire
                async with asyncio.timeout(_RELEASE_S):
                    await self._keeper.release()
