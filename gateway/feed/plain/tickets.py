"""Tickets of the plain feed: for clients that can send nothing but an address.

Whoever has a token gets one; it opens one connection within `LIFETIME_S`, as the same user, and
for no longer than the token would. How many one process has given out and not seen expire is
bounded, in all and per user.

Where Stream is asked who may watch, it is asked with the token that the ticket was given for, kept
beside it and sealed by it. With one that we could sign ourselves Stream would answer for a user
whose tokens it has revoked.
"""

import asyncio
from collections import Counter, deque
from typing import NamedTuple

import msgspec

from gateway.calls.tokens import Identity
from gateway.errors import EngineFull
from gateway.feed.plain.refusals import too_many, unauthorized
from gateway.options import FeedOptions
from gateway.store.watching.tickets import TicketStore, new_ticket, sealed

LIFETIME_S = 30.0


class _Holder(msgspec.Struct, array_like=True):
    """An `Identity` as Redis keeps it, and its token, sealed. New fields go to the end."""

    app: str
    user_id: str | None
    call_cids: list[str] | None
    expires_s: float | None
    role: str | None
    token: bytes | None = None


class Bearer(NamedTuple):
    """Who brings a ticket; `token`: by which Stream is asked for him, where it is asked."""

    identity: Identity
    token: str | None


_decode = msgspec.json.Decoder(_Holder).decode


class Tickets:
    """Gives and takes tickets. Everything may raise `EngineUnavailable`."""

    def __init__(self, store: TicketStore, options: FeedOptions, *, with_tokens: bool) -> None:
        """`with_tokens`: Stream is asked who may watch."""
        self._store, self._options, self._with_tokens = store, options, with_tokens
        self._given: deque[tuple[float, str]] = deque()  # when it expires, whose it is
        self._per_user: Counter[str] = Counter()

    async def give(self, identity: Identity, token: str) -> str:
        """Return a ticket for `identity`, who has `token`. Raises `Refusal` for too many."""
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
        ticket = new_ticket()
        kept = sealed(ticket, token.encode()) if self._with_tokens else None
        holder = _packed(identity, kept)
        try:
            await self._store.put(ticket, holder, lifetime_ms=int(LIFETIME_S * 1000))
        except EngineFull:  # which has none of it; anything else may have arrived
            self._take_back(given)
            raise
        return ticket

    async def take(self, ticket: str) -> Bearer:
        """Return whose `ticket` it is, and make it worthless. Raises `Refusal`."""
        packed = await self._store.take(ticket)
        if packed is None:
            raise unauthorized("this ticket was used, or has expired: get another")
        holder = _decode(packed)
        calls = frozenset(holder.call_cids or ())
        one = Identity(holder.app, holder.user_id, calls, holder.expires_s, holder.role)
        return Bearer(one, None if holder.token is None else sealed(ticket, holder.token).decode())

    def _forget_expired(self, now: float) -> None:
        while self._given and self._given[0][0] <= now:
            self._take_back(self._given[0])

    def _take_back(self, given: tuple[float, str]) -> None:
        self._given.remove(given)
        _, owner = given
        self._per_user[owner] -= 1
        if not self._per_user[owner]:
            del self._per_user[owner]


def _packed(identity: Identity, token: bytes | None) -> bytes:
    # None, not an empty list: to older versions a list was all that its holder might watch.
    calls = sorted(identity.call_cids) or None
    one = identity
    holder = _Holder(one.app, one.user_id, calls, one.expires_s, one.role, token)
    return msgspec.json.encode(holder)
