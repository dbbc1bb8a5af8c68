"""The plain feed: `GET /feed`, for those without an SDK of Stream's.

    ws://host/feed          then {"type":"watch","token":...,"api_key":...,"calls":["type:id"]}
    GET /feed?api_key=...&call=type:id                  server-sent events, where nothing upgrades
    POST /feed/tickets?api_key=...                      a ticket for an address, once

Which page asks is looked at first, then who asks, then what for. Everything that is refused is a
message with Stream's code for it.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from gateway.calls.tokens import Identity, Tokens
from gateway.clock import now_ms
from gateway.feed.origins import is_allowed
from gateway.feed.pacing import keep_pinging, spread
from gateway.feed.plain import messages, refusals
from gateway.feed.plain.credentials import PROTOCOL, read_headers
from gateway.feed.plain.refusals import BadRequest, Refusal
from gateway.feed.plain.requests import Message, read_message, read_query
from gateway.feed.plain.session import PlainParts, PlainSession
from gateway.feed.plain.socket import SocketSink
from gateway.feed.plain.sse import SseSink
from gateway.feed.plain.tickets import LIFETIME_S, Tickets
from gateway.feed.plain.watcher import PlainWatcher, WatcherSink
from gateway.feed.websocket.frames import INTERNAL, POLICY, TRY_LATER
from gateway.feed.websocket.handshake import is_upgrade

_logger = logging.getLogger(__name__)


class PlainFeed:
    """Add its routes before the listener starts, and `run` it beside."""

    def __init__(self, parts: PlainParts, tokens: Tokens, tickets: Tickets) -> None:
        self._parts, self._tokens, self._tickets = parts, tokens, tickets
        self._options = parts.options
        self._sessions: set[PlainSession] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/feed", self._feed, allow_head=False)
        app.router.add_route("OPTIONS", "/feed", self._preflight)
        app.router.add_post("/feed/tickets", self._ticket)
        app.router.add_route("OPTIONS", "/feed/tickets", self._preflight)

    async def run(self) -> None:
        """Ping everybody in every interval, until cancelled."""
        await keep_pinging(self._sessions, PlainSession.ping, self._options.ping_interval_s)

    async def let_go(self, code: int, reason: str, over_s: float) -> None:
        """End all connections, spread over `over_s`."""
        await spread(self._sessions, lambda one: one.end(code, reason), over_s)

    # ---- requests

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        try:
            if (foreign := self._foreign_page(request)) is not None:
                if is_upgrade(request.headers):
                    return await self._turn_away(request, foreign)
                raise foreign  # noqa: TRY301
            asked = read_query(request.query, last_event_id=request.headers.get("Last-Event-ID"))
            identity, token = await self._identify(request, asked)
            if is_upgrade(request.headers):
                return await self._socket(request, identity, asked, token)
            return await self._events(request, identity, asked, token)
        except Exception as error:  # a defect of ours is the middleware's to answer
            refused = self._refused(request, error)
            refused.force_close()  # the listener may count it no longer
            return refused

    async def _ticket(self, request: web.Request) -> web.StreamResponse:
        try:
            if (foreign := self._foreign_page(request)) is not None:
                raise foreign  # noqa: TRY301
            identity, token = await self._identify(request, read_query(request.query))
            if identity is None or token is None or "ticket" in request.query:
                raise BadRequest("a ticket is given for a token in Authorization")  # noqa: TRY301
            ticket = await self._tickets.give(identity, token)
        except Exception as error:  # a defect of ours is the middleware's to answer
            return self._refused(request, error)
        headers = {**self._cors(request), "Cache-Control": "no-store"}
        body = {"ticket": ticket, "expires_in_ms": int(LIFETIME_S * 1000)}
        return web.json_response(body, status=201, headers=headers)

    async def _preflight(self, request: web.Request) -> web.StreamResponse:
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "authorization, content-type, last-event-id",
            "Access-Control-Max-Age": "600",
        }
        return web.Response(status=204, headers={**self._cors(request), **allowed})

    # ---- who asks

    def _foreign_page(self, request: web.Request) -> Refusal | None:
        """Return what a page is told that may not come; None for any other, and for programs."""
        origin = request.headers.get("Origin")
        if is_allowed(origin, request.headers.get("Host"), self._options.origins):
            return None
        return refusals.foreign_page(origin or "")

    @staticmethod
    def _cors(request: web.Request) -> dict[str, str]:
        """Let the page read the answer: one that may not come is to hear why in words.

        It is no permission. Nothing is done for a page before its origin was looked at, and no
        cookie counts.
        """
        origin = request.headers.get("Origin")
        named = {"Access-Control-Allow-Origin": origin} if origin else {}
        return {"Vary": "Origin", **named}

    async def _identify(
        self, request: web.Request, asked: Message
    ) -> tuple[Identity | None, str | None]:
        """Return whose token or ticket came with the request, and the token; None: it had none.

        A ticket has the token with it where Stream is asked.
        """
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if offered and PROTOCOL not in [one.strip() for one in offered.split(",")]:
            raise BadRequest(f"offer {PROTOCOL} as a subprotocol, or none")
        if (ticket := request.query.get("ticket")) is not None:
            return await self._tickets.take(ticket)
        _, token = read_headers(request.headers, asked.api_key)
        return None if token is None else self._verified(asked.api_key, token), token

    def _verified(self, api_key: str | None, token: str | None) -> Identity:
        return self._tokens.verify(api_key, token, now_ms() / 1000)

    # ---- the two transports

    async def _turn_away(self, request: web.Request, refusal: Refusal) -> web.StreamResponse:
        """Open a socket to say why it is closed: of a refused handshake a page hears nothing."""
        opened = await self._parts.opening.open(request, self._protocol(request))
        sink = SocketSink(opened.connection)
        opened.connection.begin(sink, opened.answer, opened.early)
        self._parts.metrics.feed_refused.add(str(refusal.code))
        sink.write(messages.error(refusal, sink.style))
        sink.end(refusal.code, refusal.message)
        return opened.response

    @staticmethod
    def _protocol(request: web.Request) -> str | None:
        """Return the subprotocol to answer with: a browser ends a socket that has none of its."""
        return PROTOCOL if "Sec-WebSocket-Protocol" in request.headers else None

    async def _socket(
        self, request: web.Request, identity: Identity | None, asked: Message, token: str | None
    ) -> web.StreamResponse:
        opened = await self._parts.opening.open(request, self._protocol(request))
        sink = SocketSink(opened.connection)
        opened.connection.begin(sink, opened.answer, opened.early)
        serving = asyncio.create_task(self._serve(sink, identity, asked, token), name="plain-feed")
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        return opened.response

    async def _serve(
        self, sink: SocketSink, identity: Identity | None, asked: Message, token: str | None
    ) -> None:
        """Do what a WebSocket says, until it ends."""
        with self._counted():
            session: PlainSession | None = None
            try:
                if identity is None or not asked.calls:
                    async with asyncio.timeout(self._options.handshake_timeout_s):
                        text = await sink.message()
                    if text is None:
                        return
                    asked = _first(text)
                if identity is None:
                    identity = self._verified(asked.api_key, asked.token)
                    token = asked.token
                await self._parts.connections.make_room(identity.app, identity.user_id)
                session = self._session(identity, sink, token)
                await session.begin(asked, await session.admit(asked))
                async for text in sink.messages():
                    await _obey(session, text)
            except Exception as error:  # whatever it is, the other side is told
                self._end(sink, error)
            finally:
                if session is not None:
                    self._forget(session)
                sink.end(POLICY)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """One more connection, which wants the streams to be read."""
        self._parts.connections.open += 1
        self._parts.tail.join()
        try:
            yield
        finally:
            self._parts.tail.leave()
            self._parts.connections.open -= 1

    async def _events(
        self, request: web.Request, identity: Identity | None, asked: Message, token: str | None
    ) -> web.StreamResponse:
        if identity is None:
            raise refusals.unauthorized("a token is missing: in Authorization, or as a ticket")
        if not asked.calls:
            raise BadRequest("call is missing: ?call=type:id, once for each call")
        await self._parts.opening.enter(request)
        with self._counted():
            return await self._stream(request, identity, asked, token)

    async def _stream(
        self, request: web.Request, identity: Identity, asked: Message, token: str | None
    ) -> web.StreamResponse:
        sink = SseSink(request, self._cors(request), ping_interval_s=self._options.ping_interval_s)
        await self._parts.connections.make_room(identity.app, identity.user_id)
        session = self._session(identity, sink, token)
        try:
            admitted = await session.admit(asked)
            await sink.open()
            await session.begin(asked, admitted)
            await sink.over()
        except Exception as error:
            if not sink.response.prepared:
                raise  # as an ordinary answer
            self._end(sink, error)
        finally:
            self._forget(session)
            if sink.response.prepared:
                await sink.closed()
        return sink.response

    # ---- beginnings and ends

    def _session(
        self, identity: Identity, sink: SocketSink | SseSink, token: str | None
    ) -> PlainSession:
        watcher = PlainWatcher(
            sink,
            self._parts.frames,
            app=identity.app,
            user_id=identity.user_id,
            connection_id=self._parts.names.new(),
            outbox_bytes=self._options.outbox_bytes,
            metrics=self._parts.metrics,
            granted=identity.call_cids,
        )
        self._parts.connections.enter(watcher)
        session = PlainSession(self._parts, identity, watcher, token)
        if identity.expires_s is not None:
            left_s = identity.expires_s - now_ms() / 1000
            session.expiry = asyncio.get_running_loop().call_later(
                left_s, self._end, sink, refusals.expired()
            )
        self._sessions.add(session)
        return session

    def _forget(self, session: PlainSession) -> None:
        self._sessions.discard(session)
        session.close()

    def _end(self, sink: WatcherSink, error: Exception) -> None:
        if isinstance(error, ConnectionError):
            return
        refusal = refusals.of(error)
        if refusal is None:
            _logger.error("a connection of the plain feed failed", exc_info=error)
            sink.end(INTERNAL)
            return
        self._parts.metrics.feed_refused.add(str(refusal.code))
        sink.write(messages.error(refusal, sink.style))
        sink.end(TRY_LATER if refusal.status in (429, 503) else POLICY)

    def _refused(self, request: web.Request, error: Exception) -> web.StreamResponse:
        refusal = refusals.of(error)
        if refusal is None:
            raise error
        self._parts.metrics.feed_refused.add(str(refusal.code))
        headers = self._cors(request)
        if refusal.status in (429, 503):
            headers["Retry-After"] = "1"
        return web.Response(
            status=refusal.status,
            body=messages.error(refusal, None),
            content_type="application/json",
            headers=headers,
        )


def _first(text: str) -> Message:
    first = read_message(text)
    if first.type != "watch":
        raise BadRequest("the first message is a watch")
    return first


async def _obey(session: PlainSession, text: str) -> None:
    """Do what a message says. What is refused here does not end the connection."""
    try:
        message = read_message(text)
        if message.token is not None:
            raise BadRequest("a token belongs in the first message")
        if message.type == "watch":
            await session.watch(message)
        elif message.type == "unwatch":
            session.unwatch(message)
        else:
            session.pong()
    except Refusal as refusal:
        session.refuse(refusal)
