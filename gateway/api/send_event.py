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
from gateway.calls.custom_events import TYPE, Times, custom_event
from gateway.calls.errors import unavailable
from gateway.calls.rates import Rates, too_fast
from gateway.calls.tokens import Tokens
from gateway.metrics import Counter

# (app, type, call_cid, body) -> whether the event is as safe as a webhook's 200 says
Store = Callable[[str, str, str, bytes], Awaitable[bool]]


class SendEvent:
    def __init__(
        self,
        tokens: Tokens,
        access: Access,
        store: Store,
        rates: Rates,
        refused: Counter,
        *,
        body_timeout_s: float,
    ) -> None:
        """`refused` counts what came too fast."""
        self._tokens, self._access, self._store = tokens, access, store
        self._rates, self._too_fast = rates, refused
        self._body_timeout_s = body_timeout_s
        self._times = Times()

    async def send(self, request: web.Request) -> Said:
        cid = cid_of(request)
        sender = identify(self._tokens, request)
        await self._access.check(sender, cid)
        if (wait := self._rates.take(sender, cid, time.monotonic())) is not None:
            self._too_fast.add(wait.bound)
            raise too_fast(wait)
        body = await read_body(request, self._body_timeout_s)
        event = custom_event(cid, body, sender, self._times.next(time.time_ns()))
        if not await self._store(sender.app, TYPE, cid, event):
            raise unavailable()
        return Said(201, {})
