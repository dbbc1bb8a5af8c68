"""The endpoints of one process, and who answers each: we, or Stream behind us.

With an upstream, calls are Stream's to make, show and refuse, and so is all that we do not know;
what is watched is registered here. Without one the same requests are answered from the states
that we keep, and what else is asked for is code 16.
"""

from collections.abc import Iterator

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api.answering import Endpoint, Said, answering, preflight
from gateway.api.asking import read_body
from gateway.api.calls import CallParts, Calls
from gateway.api.guests import Guests
from gateway.api.query import Query
from gateway.api.send_event import SendEvent, Store
from gateway.api.upstream import Upstream
from gateway.api.upstream_calls import Passage
from gateway.api.upstream_messages import ROOTS
from gateway.calls.errors import NOT_FOUND, StreamError
from gateway.metrics import Metrics
from gateway.options import Config

_CALL = "call/{type}/{id}"
_EVENT = _CALL + "/event"
_REST = r"{rest:[\s\S]*}"  # whatever the path holds, line feeds too: its errors are Stream's


class ApiService:
    """Make it inside the running loop; add its routes behind those of sockets."""

    def __init__(self, config: Config, metrics: Metrics, parts: CallParts, store: Store) -> None:
        """`store` takes the events that are made here."""
        self._config, self._parts, self._store = config, parts, store
        self._counts = metrics.api_requests
        is_ahead = config.upstream.url is not None
        self._upstream = Upstream(config.upstream, metrics) if is_ahead else None

    async def close(self) -> None:
        if self._upstream is not None:
            await self._upstream.close()

    async def shows(self, app: str, cid: str, token: str) -> bool:
        """Tell whether Stream shows a call to the bearer of `token`. Raises `StreamError`."""
        return self._upstream is not None and await self._upstream.shows(app, cid, token)

    def add_routes(self, app: web.Application) -> None:
        endpoints = list(self._endpoints())
        for root in ROOTS:
            app.router.add_route("OPTIONS", root + _REST, preflight)
            for method, path, name, endpoint in endpoints:
                app.router.add_route(method, root + path, self._answering(name, endpoint))

    def _answering(self, name: str, endpoint: Endpoint) -> Handler:
        return answering(name, self._counts, endpoint)

    def _endpoints(self) -> Iterator[tuple[str, str, str, Endpoint]]:
        """Yield method, path below a root, name, and who answers."""
        if self._upstream is None or self._config.upstream.custom_events == "local":
            send = SendEvent(
                self._parts.tokens,
                self._parts.access,
                self._parts.allowance,
                self._store,
                body_timeout_s=self._parts.body_timeout_s,
            )
            yield "POST", _EVENT, "send_event", send.send
        if self._upstream is None:
            yield from self._ours()
        else:
            yield from self._passed_on(self._upstream)

    def _ours(self) -> Iterator[tuple[str, str, str, Endpoint]]:
        calls = Calls(self._parts)
        apps = frozenset(app.api_key for app in self._config.apps)
        guests = Guests(
            self._parts.tokens,
            self._parts.allowance,
            apps,
            self._parts.body_timeout_s,
            enabled=self._config.feed.guests,
        )
        yield "GET", _CALL, "get_call", calls.get
        yield "POST", _CALL, "get_or_create_call", calls.get_or_create
        yield "POST", _CALL + "/join", "join_call", calls.join
        yield "POST", "calls", "query_calls", Query(self._parts).find
        yield "POST", "guest", "guest", guests.create
        yield "POST", "call_client_event", "client_event", self._take_telemetry
        yield "*", _REST, "other", _unknown

    def _passed_on(self, upstream: Upstream) -> Iterator[tuple[str, str, str, Endpoint]]:
        passage = Passage(
            upstream,
            apps=[app.api_key for app in self._config.apps],
            verify=self._parts.tokens.verify,
            watch=self._parts.watch,
            body_timeout_s=self._parts.body_timeout_s,
        )
        yield "GET", _CALL, "get_call", passage.call
        yield "POST", _CALL, "get_or_create_call", passage.call
        yield "POST", _CALL + "/join", "join_call", passage.call
        yield "POST", "calls", "query_calls", passage.query
        yield "*", _REST, "other", passage.through

    async def _take_telemetry(self, request: web.Request) -> Said:
        """Take what an SDK tells of itself, and drop it: it would ask again five times."""
        await read_body(request, self._parts.body_timeout_s)
        return Said(201, {})


async def _unknown(request: web.Request) -> Said:
    raise StreamError(
        NOT_FOUND,
        404,
        f"{request.method} {request.path[:256]} is not answered here; with `upstream.url`"
        " it would go on to Stream",
    )
