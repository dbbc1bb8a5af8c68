"""The feed of one process, put together: tail, hub, both kinds of sockets, registration.

Runs by itself: it reads Redis, and nothing of the other two paths.
"""

import asyncio

from aiohttp import web

from gateway.calls import exposure
from gateway.calls.access import Access
from gateway.calls.allowance import Allowance
from gateway.calls.tokens import Tokens
from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.feed import pages
from gateway.feed.connection_ids import ConnectionIds
from gateway.feed.connections import Connections
from gateway.feed.hub import Hub
from gateway.feed.leaving import Leaving
from gateway.feed.opening import Opening
from gateway.feed.pacing import keep_pinging, spread
from gateway.feed.plain.access import Shows
from gateway.feed.plain.feed import PlainFeed
from gateway.feed.plain.frames import PlainFrames
from gateway.feed.plain.session import PlainParts
from gateway.feed.plain.tickets import Tickets
from gateway.feed.sdk.registration import Registration
from gateway.feed.sdk.sockets import SdkSockets
from gateway.feed.sdk.watcher import SdkParts, SdkWatcher
from gateway.feed.shut_out import REMEMBERED_S
from gateway.feed.waiting import Waiting
from gateway.feed.websocket.frames import RESTART
from gateway.metrics import Metrics
from gateway.options import Config
from gateway.store.states.call_store import CallStore
from gateway.store.watching.mailbox import Mailbox
from gateway.store.watching.shard_reader import readers_of
from gateway.store.watching.tail import Tail
from gateway.store.watching.tickets import TicketStore
from gateway.tasks import together

_AWAY_S = 0.05
_STREAM_PAUSE_S = 0.1


class FeedService:
    """Add its routes before the listener starts; `run` it; `drain` it in front of the listener."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        metrics: Metrics,
        *,
        tokens: Tokens,
        access: Access,
        allowance: Allowance,
        calls: CallStore,
        shows: Shows | None = None,
    ) -> None:
        """Put it together; `shows` asks Stream, where it decides who may see a call."""
        options = config.feed
        self._config, self._engine, self._tokens = config, engine, tokens
        self._allowance = allowance
        self._tail = Tail(readers_of(engine), metrics)
        self._connections = Connections(options)
        self._leaving = Leaving(
            calls.users_of,
            self._connections,
            by_state=config.upstream.url is None,
            open_apps=exposure.open_apps(config),
            asking_s=max(REMEMBERED_S, 2 * config.upstream.timeout_s),
        )
        # Stream, that is asked each time, is asked less often.
        self._waiting = Waiting() if shows is None else Waiting(pause_s=_STREAM_PAUSE_S)
        metrics.feed_waiting.track(read=lambda: self._waiting.taken)
        self._hub = Hub(self._connections, metrics, leaving=self._leaving, waiting=self._waiting)
        self._doorway = Opening(options, self._connections)
        names = ConnectionIds()
        parts = SdkParts(
            options, tokens, self._connections, self._hub, self._tail, names, metrics, self._leaving
        )
        self._sdk = SdkSockets(parts, self._doorway)
        self.registration = Registration(parts, Mailbox(engine, names.process))
        plain = PlainParts(
            engine,
            self._hub,
            PlainFrames(self._tail.positions),
            access,
            allowance,
            calls,
            options,
            self._connections,
            self._tail,
            self._doorway,
            names,
            metrics,
            self._leaving,
            self._waiting,
            shows,
        )
        tickets = Tickets(TicketStore(engine), options, with_tokens=shows is not None)
        self._plain = PlainFeed(plain, tokens, tickets)
        # Of either, and of those that were turned away: they have files, as watchers have.
        metrics.feed_connections.track("closing", read=lambda: self._doorway.goodbyes.count)
        metrics.feed_connections.track("sdk", read=lambda: len(self._sdk.open))
        metrics.feed_connections.track(
            "plain", read=lambda: self._connections.open - len(self._sdk.open)
        )

    def add_routes(self, app: web.Application) -> None:
        self._sdk.add_routes(app)
        self._plain.add_routes(app)
        pages.add_client(app)
        if (api_key := exposure.demo_app(self._config)) is not None:
            pages.add_demo(app, api_key, self._tokens, self._allowance)

    async def run(self) -> None:
        """Run all loops until cancelled; nobody is let in before Redis has answered once."""
        await self._answered()
        self._doorway.admission.open()
        ping_interval_s = self._config.feed.ping_interval_s
        await together(
            self._tail.run(self._hub),
            self.registration.run(),
            keep_pinging(self._sdk.open, SdkWatcher.ping, ping_interval_s),
            self._plain.run(),
            self._leaving.run(),
            self._waiting.run(),
        )

    async def _answered(self) -> None:
        while True:
            try:
                await self._engine.command("PING")
            except (EngineUnavailable, EngineRefused):
                await asyncio.sleep(_AWAY_S)
            else:
                return

    async def drain(self, drain_s: float) -> None:
        """Let in nobody any more, and let everybody go: spread, so that they come back spread."""
        self._doorway.admission.close()
        if not self._connections.open:
            return
        async with asyncio.TaskGroup() as leaving:
            leaving.create_task(
                spread(self._sdk.open, lambda one: one.close(RESTART, "restart"), drain_s)
            )
            leaving.create_task(self._plain.let_go(RESTART, "restart", drain_s))
