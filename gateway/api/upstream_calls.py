"""Requests that Stream answers, and the watch that its answer permits.

Stream decides here who may read a call: what it shows a caller, the caller may watch. The token is
verified here all the same, before anything is asked, since it is our socket that will watch; and
nothing goes on of which Stream might read another app or another user than we have. The watch is
registered before Stream's answer goes back, so that nothing which happens after it is missed;
where that fails the caller hears so, though Stream has done its part.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

import msgspec
from aiohttp import web

from gateway.api.asking import asked_to_watch, connection_of, read_body
from gateway.api.upstream import Upstream, UpstreamAnswer, UpstreamFailed
from gateway.api.upstream_messages import METHODS, ambiguous, take_watch
from gateway.calls.tokens import Identity

Verify = Callable[[str | None, str | None, float], Identity]
# As of the calls that are answered here; of those that are made here there are none.
Watch = Callable[[str, Identity, Sequence[str], float, Collection[str]], Awaitable[None]]


class _Call(msgspec.Struct, gc=False):
    cid: str


class _State(msgspec.Struct, gc=False):
    call: _Call


class _States(msgspec.Struct, gc=False):
    calls: list[_State]


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
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

    async def through(self, request: web.Request) -> web.Response:
        """Pass any request on, and the answer back."""
        body = await self._admit(request)
        return _respond(await self._upstream.ask(request, body))

    async def call(self, request: web.Request) -> web.Response:
        """Get, GetOrCreate, Join: passed on; watched where the query asks for it."""
        connection_id = asked_to_watch(request)
        if connection_id is None:
            return await self.through(request)
        caller, body = self._identify(request), await self._admit(request)
        asked_s = time.monotonic()
        answer = await self._upstream.ask(request, body, readable=True)
        if answer.succeeded:
            await self._watch(connection_id, caller, [_state(answer).call.cid], asked_s, ())
        return _respond(answer)

    async def query(self, request: web.Request) -> web.Response:
        """QueryCalls: passed on without its `watch`; what Stream has found is watched."""
        body, wanted = take_watch(await self._admit(request))
        if not wanted:
            return _respond(await self._upstream.ask(request, body))
        connection_id = connection_of(request)
        caller, asked_s = self._identify(request), time.monotonic()
        answer = await self._upstream.ask(request, body, readable=True)
        if answer.succeeded:
            cids = [state.call.cid for state in _found(answer).calls]
            await self._watch(connection_id, caller, cids, asked_s, ())
        return _respond(answer)

    def _identify(self, request: web.Request) -> Identity:
        token = request.headers.get("Authorization")
        return self._verify(request.query.get("api_key"), token, time.time())

    async def _admit(self, request: web.Request) -> bytes:
        """Return the body of a request that may pass. Raises `UpstreamFailed`."""
        if request.method not in METHODS:
            raise UpstreamFailed(4, 405, f"no {request.method[:16]} goes on to Stream")
        if request.query.get("api_key") not in self._apps:
            raise UpstreamFailed(2, 401, "api_key is missing or unknown")
        if (name := ambiguous(request.query, request.headers)) is not None:
            raise UpstreamFailed(4, 400, f"{name} is there more than once, or in two places")
        if request.headers.get("Upgrade", "").lower() == "websocket":
            raise UpstreamFailed(4, 400, "there is no WebSocket here")
        return await read_body(request, self._body_timeout_s)


def _state(answer: UpstreamAnswer) -> _State:
    try:
        return _decode_state(answer.body)
    except _UNREADABLE:
        raise _unreadable() from None


def _found(answer: UpstreamAnswer) -> _States:
    try:
        return _decode_states(answer.body)
    except _UNREADABLE:
        raise _unreadable() from None


def _unreadable() -> UpstreamFailed:
    return UpstreamFailed(-1, 502, "Stream's answer names no call that could be watched")


def _respond(answer: UpstreamAnswer) -> web.Response:
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
