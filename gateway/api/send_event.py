"""SendCallEvent: an event of a user's or a server's own, to everybody who watches the call.

Who may watch a call may send to it. The event is stored like a webhook before its 201, and comes
to watchers and subscribers like any other: nothing here knows either of them.
"""

import time
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.api.upstream import UpstreamFailed
from gateway.api.upstream_calls import read_body
from gateway.api.upstream_messages import ROOTS
from gateway.calls.access import Access
from gateway.calls.custom_events import TYPE, Times, custom_event
from gateway.calls.errors import StreamError, bad_input, error_body, unavailable
from gateway.calls.tokens import Tokens
from gateway.errors import StreamRefused, StreamUnavailable
from gateway.metrics import Metrics

MAX_CID_BYTES = 256
# (app, type, call_cid, body) -> whether the event is as safe as a webhook's 200 says
Store = Callable[[str, str, str, bytes], Awaitable[bool]]
_ENDPOINT = "send_event"
# No cookie and no origin means anything here: whoever has the token may ask from any page.
_CORS = {"Access-Control-Allow-Origin": "*"}
_PREFLIGHT = {
    **_CORS,
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": (
        "authorization, content-type, stream-auth-type, x-stream-client, x-client-request-id"
    ),
    "Access-Control-Max-Age": "600",
}


class SendEvent:
    def __init__(
        self, tokens: Tokens, access: Access, store: Store, metrics: Metrics, body_timeout_s: float
    ) -> None:
        self._tokens, self._access, self._store = tokens, access, store
        self._counts, self._body_timeout_s = metrics.api_requests, body_timeout_s
        self._times = Times()

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return method, path and handler."""
        paths = [root + "call/{type}/{id}/event" for root in ROOTS]
        found: list[tuple[str, str, Handler]] = [("POST", path, self.handle) for path in paths]
        return found + [("OPTIONS", path, self.preflight) for path in paths]

    async def preflight(self, _: web.Request) -> web.Response:
        return web.Response(status=204, headers=_PREFLIGHT)

    async def handle(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        try:
            await self._send(request)
        except (StreamError, UpstreamFailed) as error:
            return self._refused(error)
        except (StreamUnavailable, StreamRefused):
            return self._refused(unavailable())
        self._counts.add(_ENDPOINT, "ok")
        said = {"duration": f"{(time.perf_counter() - began) * 1000:.2f}ms"}
        return _json(201, said, {})

    async def _send(self, request: web.Request) -> None:
        cid = "{type}:{id}".format_map(request.match_info)
        if len(cid.encode(errors="replace")) > MAX_CID_BYTES:
            raise bad_input(f"a call's type and id have {MAX_CID_BYTES} bytes at most")
        token = request.headers.get("Authorization")
        sender = self._tokens.verify(request.query.get("api_key"), token, time.time())
        await self._access.check(sender, cid)
        body = await read_body(request, self._body_timeout_s)
        event = custom_event(cid, body, sender, self._times.next(time.time_ns()))
        if not await self._store(sender.app, TYPE, cid, event):
            raise unavailable()

    def _refused(self, error: StreamError | UpstreamFailed) -> web.Response:
        self._counts.add(_ENDPOINT, str(error.code))
        again = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        return _json(error.status, error_body(error.code, error.status, error.message), again)


def _json(status: int, said: object, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(said), content_type="application/json",
        headers={**_CORS, **headers},
    )  # fmt: skip
