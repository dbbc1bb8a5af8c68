"""Tickets: what stands for a token, once and for a short time.

A browser's EventSource can send no header, and a token must never be in a URL, where every log
would keep it. Redis holds what a ticket stands for under its digest, so that nobody who reads
Redis can use one; taking it is one atomic step, whichever process it is brought to.

What Redis must not be able to read is sealed by the ticket itself, of which Redis knows the
digest alone. A ticket is 256 random bits and seals one text, so the seal is a pad made of it by
SHAKE-256 and used once.
"""

from hashlib import sha256, shake_256
from secrets import token_urlsafe

from gateway.engine.engine import Engine
from gateway.store import keys

_TICKET_BYTES = 32
_TICKET_CHARS = 43
_PAD = b"gateway ticket pad v1\0"


class TicketStore:
    """Everything raises `EngineUnavailable` or `EngineRefused`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def put(self, ticket: str, holder: bytes, *, lifetime_ms: int) -> None:
        """Keep for `lifetime_ms` what a `new_ticket` stands for."""
        await self._engine.command("SET", _key(ticket), holder, "PX", lifetime_ms)

    async def take(self, ticket: str) -> bytes | None:
        """Return what the ticket stands for, and make it worthless; None: it is (already)."""
        if len(ticket) != _TICKET_CHARS:
            return None
        found: bytes | None = await self._engine.command("GETDEL", _key(ticket))
        return found


def new_ticket() -> str:
    """Return what nobody can guess."""
    return token_urlsafe(_TICKET_BYTES)


def sealed(ticket: str, content: bytes) -> bytes:
    """Return `content`, one for each ticket, as only its bearer can read it; or the other way."""
    pad = shake_256(_PAD + ticket.encode()).digest(len(content))
    return bytes(one ^ other for one, other in zip(content, pad, strict=True))


def _key(ticket: str) -> str:
    return keys.ticket(sha256(ticket.encode("utf-8", "surrogateescape")).hexdigest())
