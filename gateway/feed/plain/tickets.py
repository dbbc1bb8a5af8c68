"""Tickets of the plain feed: for clients that can send nothing but an address.

Whoever has a token gets one; it opens one connection within `LIFETIME_S`, as the same user, and
for no longer than the token would. How many one process has given out and not seen expire is
bounded, in all and per user.
"""

import asyncio
from collections import Counter, deque

import msgspec

from gateway.calls.tokens import Identity
from gateway.errors import EngineFull
from gateway.feed.plain.refusals import too_many, unauthorized
from gateway.options import FeedOptions
from gateway.store.watching.tickets import TicketStore

LIFETIME_S = 30.0


class _Holder(msgspec.Struct, array_like=True):
    """An `Identity` as Redis keeps it."""

    app: str
    user_id: str | None
    call_cids: list[str] | None
    expires_s: float | None
    role: str | None


_decode = msgspec.json.Decoder(_Holder).decode


class Tickets:
    """Gives and takes tickets. Everything may raise `EngineUnavailable`."""

    def __init__(self, store: TicketStore, options: FeedOptions) -> None:
        self._store = store
        self._options = options
        self._given: deque[tuple[float, str]] = deque()  # when it expires, whose it is
        self._per_user: Counter[str] = Counter()

    async def give(self, identity: Identity) -> str:
        """Return a ticket for `identity`. Raises `Refusal` when too many are out."""
        now = asyncio.get_running_loop().time()
        self._forget_expired(now)
        owner = f"{identity.app}\0{identity.user_id or ''}"
        limit = self._options.max_connections_per_user
        is_too_many = not identity.is_server and self._per_user[owner] >= limit
        if is_too_many or len(self._given) >= self._options.max_connections:
            raise too_many("too many tickets at once: use those you have")
        given = now + LIFETIME_S, owner
        self._given.append(given)
        self._per_user[owner] += 1
        try:
            return await self._store.put(_packed(identity), lifetime_ms=int(LIFETIME_S * 1000))
        except EngineFull:  # which has none of it; anything else may have arrived
            self._take_back(given)
            raise

    async def take(self, ticket: str) -> Identity:
        """Return whose `ticket` it is, and make it worthless. Raises `Refusal`."""
        packed = await self._store.take(ticket)
        if packed is None:
            raise unauthorized("this ticket was used, or has expired: get another")
        holder = _decode(packed)
        calls = frozenset(holder.call_cids or ())
        return Identity(holder.app, holder.user_id, calls, holder.expires_s, holder.role)

    def _forget_expired(self, now: float) -> None:
        while self._given and self._given[0][0] <= now:
            self._take_back(self._given[0])

    def _take_back(self, given: tuple[float, str]) -> None:
        self._given.remove(given)
        _, owner = given
        self._per_user[owner] -= 1
        if not self._per_user[owner]:
            del self._per_user[owner]


def _packed(identity: Identity) -> bytes:
    # None, not an empty list: to older versions a list was all that its holder might watch.
    calls = sorted(identity.call_cids) or None
    holder = _Holder(identity.app, identity.user_id, calls, identity.expires_s, identity.role)
    return msgspec.json.encode(holder)
