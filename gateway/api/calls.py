"""GetCall, GetOrCreateCall and JoinCall, answered from the states that we keep.

A request that names a connection has it watch the call. The state is read after that, so that an
event is in the answer or comes behind it, never neither. Whoever joins gets everything but media:
the credentials are empty.
"""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from gateway.api.answering import Said
from gateway.api.asking import asked_to_watch, cid_of, identify, read_body
from gateway.api.shown import MAX_MEMBERS, shown
from gateway.calls import new_call
from gateway.calls.access import Access
from gateway.calls.allowance import Allowance
from gateway.calls.errors import bad_input, no_such_call, unavailable
from gateway.calls.tokens import Identity, Tokens
from gateway.store.states.call_documents import Whole
from gateway.store.states.call_store import CallStore

# (connection, whose it is, calls, when it was asked whether he may watch them (monotonic), those
# of them that only a call made here lets him watch)
Watch = Callable[[str, Identity, Sequence[str], float, Collection[str]], Awaitable[None]]
MakeRoom = Callable[[str, str], Awaitable[None]]
_TRIES = 5  # to make a call that others make, change or forget at the same time
_NO_MEDIA = {
    "credentials": {
        "server": {"edge_name": "", "url": "", "ws_endpoint": ""},
        "token": "",
        "ice_servers": [],
    },
    "stats_options": {"enable_rtc_stats": False, "reporting_interval_ms": 60_000},
}


class CallParts(NamedTuple):
    """What the endpoints about calls share: of Registration `watch`, of CallSweeper `make_room`."""

    tokens: Tokens
    allowance: Allowance
    access: Access
    store: CallStore
    watch: Watch
    make_room: MakeRoom
    body_timeout_s: float


class _Seen(NamedTuple):
    """A call's state; whether only a call made here lets its reader see it; when it was asked."""

    whole: Whole
    is_made_here: bool
    asked_s: float


class Calls:
    def __init__(self, parts: CallParts) -> None:
        self._parts = parts

    async def get(self, request: web.Request) -> Said:
        caller, cid = self._identify(request), cid_of(request)
        limit, connection_id = _members_limit(request), asked_to_watch(request)
        seen = await self._seen(caller, cid)
        return Said(200, await self._watched(seen, caller, cid, connection_id, limit))

    async def get_or_create(self, request: web.Request) -> Said:
        caller, cid = self._identify(request), cid_of(request)
        asked = await self._asked(request)
        return await self._answer(request, caller, cid, asked, may_make=True)

    async def join(self, request: web.Request) -> Said:
        caller, cid = self._identify(request), cid_of(request)
        asked = await self._asked(request)
        said = await self._answer(request, caller, cid, asked, may_make=asked.create)
        return Said(said.status, {**said.content, **_NO_MEDIA})

    def _identify(self, request: web.Request) -> Identity:
        return identify(self._parts.tokens, self._parts.allowance, request)

    async def _asked(self, request: web.Request) -> new_call.NewCall:
        return new_call.read_asked(await read_body(request, self._parts.body_timeout_s))

    async def _answer(
        self,
        request: web.Request,
        caller: Identity,
        cid: str,
        asked: new_call.NewCall,
        *,
        may_make: bool,
    ) -> Said:
        connection_id, limit = asked_to_watch(request), _limit(asked.members_limit)
        created = may_make and await self._make(caller, cid, asked)
        seen = await self._seen(caller, cid)
        content = await self._watched(seen, caller, cid, connection_id, limit)
        return Said(201, {**content, "created": created})

    async def _seen(self, caller: Identity, cid: str) -> _Seen:
        """Return a call that `caller` may see. Raises `StreamError` 16 or 17.

        17 whether there is such a call or not: who may not see it does not learn that either.
        """
        asked_s = time.monotonic()
        is_made_here = await self._parts.access.check(caller, cid)
        whole = await self._parts.store.read(caller.app, cid)
        if whole is None:
            raise no_such_call(cid)
        return _Seen(whole, is_made_here, asked_s)

    async def _make(self, caller: Identity, cid: str, asked: new_call.NewCall) -> bool:
        """Have the call exist; tell whether it was made by this. Raises `StreamError`."""
        store, is_counted = self._parts.store, False
        for _ in range(_TRIES):
            (known,) = await store.documents(caller.app, [cid])
            if known is not None:
                return False
            if not is_counted:
                await self._parts.allowance.new_call(caller)
                is_counted = True
            if await store.put(new_call.make(caller, cid, asked.data, time.time_ns())):
                await self._parts.make_room(caller.app, cid)
                return True
        raise unavailable()

    async def _watched(
        self, seen: _Seen, caller: Identity, cid: str, connection_id: str | None, limit: int
    ) -> dict[str, Any]:
        whole = seen.whole
        if connection_id is not None:
            made_here = (cid,) if seen.is_made_here else ()
            await self._parts.watch(connection_id, caller, [cid], seen.asked_s, made_here)
            whole = await self._parts.store.read(caller.app, cid) or whole
        return shown(whole, caller, limit)


def _members_limit(request: web.Request) -> int:
    text = request.query.get("members_limit")
    if text is not None and not (text.isascii() and text.isdigit() and len(text) < 9):
        raise bad_input("members_limit is a number")
    return _limit(None if text is None else int(text))


def _limit(asked: int | None) -> int:
    if asked is None or asked == 0:  # Go's zero: not given
        return MAX_MEMBERS
    if asked < 0:
        raise bad_input("members_limit is not negative")
    return min(asked, MAX_MEMBERS)
