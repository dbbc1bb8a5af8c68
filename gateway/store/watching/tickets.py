"""Tickets: what stands for a token, once and for a short time.

A browser's EventSource can send no header, and a token must never be in a URL, where every log
would keep it. Redis holds what a ticket stands for under its digest, so that nobody who reads
Redis can use one; taking it is one atomic step, whichever process it is brought to.
"""

from hashlib import sha256
from secrets import token_urlsafe

from gateway.engine.engine import Engine
from gateway.store import keys

_TICKET_BYTES = 32
_TICKET_CHARS = 43


class TicketStore:
    """Everything raises `EngineUnavailable` or `EngineRefused`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, holder: bytes, *, lifetime_ms: int) -> str:
        """Keep `holder` for `lifetime_ms`; return the ticket for it."""
        ticket = token_urlsafe(_TICKET_BYTES)
        await self._engine.command("SET", _key(ticket), holder, "PX", lifetime_ms)
        return ticket

    async def take(self, ticket: str) -> bytes | None:
        """Return what the ticket stands for, and make it worthless; None: it is (already)."""
        if len(ticket) != _TICKET_CHARS:
            return None
        found: bytes | None = await self._engine.command("GETDEL", _key(ticket))
        return found


def _key(ticket: str) -> str:
    return keys.ticket(sha256(ticket.encode("utf-8", "surrogateescape")).hexdigest())
