"""Who makes room when places, memory or files run short. Pure.

Whoever has brought a signed request within `SIGNED_S` never does, nor does one that waits for the
answer to such a request. Of the others those go first that have never brought a signed one: the
idle, the longest first; then those whose request does not become whole, the slowest first; then
those who have just connected and said nothing, the oldest first; then those whose requests are
being answered, or one who sends them without a pause would be safe. Then the same of those who
have signed, long ago. No address is looked at: behind a proxy all come from one.

A first request leaves right behind its connection, so that of two who are silent the younger is
rather about to speak. Over TLS it comes only after a handshake, for which each has `HANDSHAKE_S`:
without it, whoever comes fast enough would have all handshakes of others ended.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

SIGNED_S = 60.0
YOUNG_S = 1.0
HANDSHAKE_S = 0.25
_PIECE_BYTES = 64 << 10

_IDLE, _UNFINISHED, _YOUNG, _BUSY, _SIGNED_IDLE, _SIGNED_UNFINISHED = range(6)


class EvictionRank(NamedTuple):
    """How a connection stands that may be ended; times by time.perf_counter()."""

    opened_at: float
    since: float  # idle, or since the beginning of its request
    received: int | None  # bytes of a request that is not whole; None: idle
    read_at: float  # when something came last
    signed_at: float  # when it last brought a signed request; 0: never
    unheard: bool = False  # nothing has ever come
    busy: bool = False  # its request is being answered


class EvictionCandidate(Protocol):
    """A connection, as far as it is looked at here."""

    @property
    def standing(self) -> EvictionRank | None:
        """How it stands; None while a signed request is under way."""

    @property
    def unfinished_bytes(self) -> int:
        """What it holds of a request that is not whole."""


H = TypeVar("H", bound=EvictionCandidate)


def pace(one: EvictionRank, now: float) -> float:
    """Return how fast an unfinished request arrives, in bytes a second.

    That of all of it; or, where it has come to a halt, as if the next piece came now.
    """
    arriving_s = max(now - one.since, 1e-6)
    return min((one.received or 0) / arriving_s, _PIECE_BYTES / max(now - one.read_at, 1e-6))


def turn(one: EvictionRank, now: float, handshake_s: float = 0.0) -> tuple[int, float] | None:
    """Return when its turn is to make room, the lowest first; None: never now.

    `handshake_s`: how long whoever has not been heard yet is left alone.
    """
    if one.signed_at:
        if one.busy or now - one.signed_at < SIGNED_S:
            return None
        idle = one.received is None
        return (_SIGNED_IDLE, one.since) if idle else (_SIGNED_UNFINISHED, pace(one, now))
    age_s = now - one.opened_at
    if one.busy:
        return _BUSY, one.opened_at
    if one.received is not None:
        return _UNFINISHED, pace(one, now)
    if one.unheard and age_s < max(YOUNG_S, handshake_s):
        return (_YOUNG, one.opened_at) if age_s >= handshake_s else None
    return _IDLE, one.since


def by_turn(
    held: Iterable[H], now: float, most: int, handshake_s: float = 0.0
) -> list[tuple[H, EvictionRank]]:
    """Return at most so many that may make room, in their order, with how they stand."""
    found = []
    for number, one in enumerate(held):
        standing = one.standing
        if standing is not None and (at := turn(standing, now, handshake_s)) is not None:
            found.append((at, number, one, standing))
    found.sort(key=lambda each: each[:2])
    return [(one, standing) for _, _, one, standing in found[:most]]


def slowest(held: Iterable[H], now: float, most_bytes: int) -> list[H]:
    """Return who is to end so that unfinished requests hold at most so many bytes together.

    Nobody who has ever brought a signed request: these may be more.
    """
    total, found = 0, []
    for number, one in enumerate(held):
        size = one.unfinished_bytes
        total += size
        standing = one.standing if size else None
        if standing is not None and standing.received is not None and not standing.signed_at:
            found.append((pace(standing, now), number, size, one))
    chosen = []
    for _, _, size, one in sorted(found, key=lambda each: each[:2]):
        if total <= most_bytes:
            break
        total -= size
        chosen.append(one)
    return chosen
