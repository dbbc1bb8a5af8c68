"""SendCallEvent: an event of a user's or a server's own, to everybody who watches the call.

Who may watch a call may send to it. The event is stored like a webhook before its 201, and comes
to watchers and subscribers like any other: nothing here knows either of them. How fast is
bounded, for each user and each call.
"""

import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.api.answering import Said
from gateway.api.asking import cid_of, identify, read_body
from gateway.calls.access import Access
from gateway.calls.allowance import Allowance
from gateway.calls.custom_events import TYPE, Times, custom_event
from gateway.calls.errors import unavailable
from gateway.calls.tokens import Tokens

# (app, type, call_cid, body) -> whether the event is as safe as a webhook's 200 says
Store = Callable[[str, str, str, bytes], Awaitable[bool]]


class SendEvent:
    def __init__(
        self,
        tokens: Tokens,
        access: Access,
        allowance: Allowance,
        store: Store,
        *,
        body_timeout_s: float,
    ) -> None:
        self._tokens, self._access, self._store = tokens, access, store
        self._allowance = allowance
        self._body_timeout_s = body_timeout_s
        self._times = Times()

    async def send(self, request: web.Request) -> Said:
        cid = cid_of(request)
        sender = identify(self._tokens, self._allowance, request)
        self._allowance.foresee(sender)
        # Before the call's own bound: who may not watch it is not to learn how busy it is.
        await self._access.check(sender, cid)
        await self._allowance.event(sender, cid)
        body = await read_body(request, self._body_timeout_s)
        event = custom_event(cid, body, sender, self._times.next(time.time_ns()))
        if not await self._store(sender.app, TYPE, cid, event):
            raise unavailable()
        return Said(201, {})
