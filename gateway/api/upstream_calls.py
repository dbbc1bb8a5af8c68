"""Requests that Stream answers, and the watch that its answer permits.

Stream alone decides here who may read a call: what it shows a caller, the caller may watch. The
token is verified here all the same, before anything is asked, since it is our socket that will
watch. The watch is registered before Stream's answer goes back, so that nothing which happens
after it is missed; where that fails the caller hears so, though Stream has done its part.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol

import msgspec
from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.typedefs import Handler
from aiohttp.web_protocol import RequestPayloadError

from gateway.api.upstream import Answer, Upstream, UpstreamFailed
from gateway.api.upstream_messages import ROOTS, take_watch
from gateway.options import MIB

MAX_REQUEST_BYTES = 1 * MIB


class Caller(Protocol):
    """Whom a token stands for."""

    @property
    def app(self) -> str: ...


Verify = Callable[[str | None, str | None, float], Caller]
Watch = Callable[[str, Caller, Sequence[str]], Awaitable[None]]


class _Call(msgspec.Struct, gc=False):
    cid: str


class _State(msgspec.Struct, gc=False):
    call: _Call


class _States(msgspec.Struct, gc=False):
    calls: list[_State]


_decode_state = msgspec.json.Decoder(_State).decode
_decode_states = msgspec.json.Decoder(_States).decode


class Passage:
    """Handlers for what goes through to Stream. Their errors are for others to write."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        apps: Iterable[str],
        verify: Verify,
        watch: Watch,
        body_timeout_s: float,
    ) -> None:
        """`apps`: the API keys that may pass. `verify` as Tokens', `watch` as Registration's."""
        self._upstream, self._apps = upstream, frozenset(apps)
        self._verify, self._watch, self._body_timeout_s = verify, watch, body_timeout_s

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Return method, path and handler; those of `any_other` must come behind all others."""
        found: list[tuple[str, str, Handler]] = []
        for root in ROOTS:
            call = root + "call/{type}/{id}"
            found += (
                ("GET", call, self.call),
                ("POST", call, self.call),
                ("POST", call + "/join", self.call),
                ("POST", root + "calls", self.query),
            )
        return found

    def any_other(self) -> list[tuple[str, str, Handler]]:
        return [("*", root + "{rest:.*}", self.through) for root in ROOTS]

    async def through(self, request: web.Request) -> web.Response:
        """Pass any request on, and the answer back."""
        body = await self._admit(request)
        return _respond(await self._upstream.ask(request, body))

    async def call(self, request: web.Request) -> web.Response:
        """Get, GetOrCreate, Join: passed on; watched where the query asks for it."""
        connection_id = asked_to_watch(request)
        if connection_id is None:
            return await self.through(request)
        caller = self._identify(request)
        answer = await self._upstream.ask(request, await self._admit(request), readable=True)
        if answer.succeeded:
            await self._watch(connection_id, caller, [_state(answer).call.cid])
        return _respond(answer)

    async def query(self, request: web.Request) -> web.Response:
        """QueryCalls: passed on without its `watch`; what Stream has found is watched."""
        body, wanted = take_watch(await self._admit(request))
        if not wanted:
            return _respond(await self._upstream.ask(request, body))
        connection_id = _connection_id(request)
        caller = self._identify(request)
        answer = await self._upstream.ask(request, body, readable=True)
        if answer.succeeded:
            cids = [state.call.cid for state in _found(answer).calls]
            await self._watch(connection_id, caller, cids)
        return _respond(answer)

    def _identify(self, request: web.Request) -> Caller:
        token = request.headers.get("Authorization")
        return self._verify(request.query.get("api_key"), token, time.time())

    async def _admit(self, request: web.Request) -> bytes:
        """Return the body of a request that may pass. Raises `UpstreamFailed`."""
        if request.query.get("api_key") not in self._apps:
            raise UpstreamFailed(2, 401, "api_key is missing or unknown")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            raise UpstreamFailed(4, 400, "there is no WebSocket here")
        return await read_body(request, self._body_timeout_s)


def asked_to_watch(request: web.Request) -> str | None:
    """Return the connection that Get, GetOrCreate or Join asks to watch by; None for none.

    Naming a connection asks, unless `watch=false` says otherwise. Raises `UpstreamFailed` 4 for
    `watch=true` without one.
    """
    match request.query.get("watch"):
        case "true":
            return _connection_id(request)
        case "false":
            return None
    return request.query.get("connection_id") or None


def _connection_id(request: web.Request) -> str:
    connection_id = request.query.get("connection_id")
    if not connection_id:
        raise UpstreamFailed(4, 400, "watch needs a connection_id")
    return connection_id


async def read_body(request: web.Request, within_s: float) -> bytes:
    """Return the body as it was sent. Raises `UpstreamFailed`: 22 beyond `MAX_REQUEST_BYTES`."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_REQUEST_BYTES:
                    raise UpstreamFailed(22, 413, "the body is larger than 1 MiB")
    except TimeoutError:
        raise UpstreamFailed(23, 408, "the body has not come in time") from None
    except (RequestPayloadError, ClientPayloadError):
        raise UpstreamFailed(
            4, 400, "the body breaks off, or is not what its headers say"
        ) from None
    return bytes(body)


def _state(answer: Answer) -> _State:
    try:
        return _decode_state(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _unreadable() from None


def _found(answer: Answer) -> _States:
    try:
        return _decode_states(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _unreadable() from None


def _unreadable() -> UpstreamFailed:
    return UpstreamFailed(-1, 502, "Stream's answer names no call that could be watched")


def _respond(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
