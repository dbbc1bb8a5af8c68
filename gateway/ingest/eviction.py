"""Who makes room when places, memory or files run short. Pure.

Whoever has brought a signed request within `SIGNED_S` never does, nor does one whose request is
being answered. Of the others those go first that have never brought a signed one: the idle, the
longest first; then those whose request does not become whole, the slowest first. Then the same of
those who have, long ago. Whoever connected within `YOUNG_S` is asked last of all: nobody can tell
yet what becomes of it. No address is looked at: behind a proxy all come from one.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

SIGNED_S = 60.0
YOUNG_S = 1.0
_PIECE_BYTES = 64 << 10

_IDLE, _UNFINISHED, _SIGNED_IDLE, _SIGNED_UNFINISHED, _YOUNG = range(5)


class EvictionRank(NamedTuple):
    """How a connection stands that has no request under way; times by time.perf_counter()."""

    opened_at: float
    since: float  # idle, or since the beginning of its request
    received: int | None  # bytes of a request that is not whole; None: idle
    read_at: float  # when something came last
    signed_at: float  # when it last brought a signed request; 0: never


class EvictionCandidate(Protocol):
    """A connection, as far as it is looked at here."""

    @property
    def standing(self) -> EvictionRank | None:
        """How it stands; None while a request is under way."""

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


def turn(one: EvictionRank | None, now: float) -> tuple[int, float] | None:
    """Return when its turn is to make room, the lowest first; None: never now."""
    if one is None or (one.signed_at and now - one.signed_at < SIGNED_S):
        return None
    if now - one.opened_at < YOUNG_S and not one.signed_at:
        return _YOUNG, one.opened_at
    if one.received is None:
        return (_SIGNED_IDLE if one.signed_at else _IDLE), one.since
    return (_SIGNED_UNFINISHED if one.signed_at else _UNFINISHED), pace(one, now)


def by_turn(held: Iterable[H], now: float, most: int) -> list[tuple[H, EvictionRank]]:
    """Return at most so many that may make room, in their order, with how they stand."""
    found = [
        (at, number, one, standing)
        for number, one in enumerate(held)
        if (at := turn(standing := one.standing, now)) is not None and standing is not None
    ]
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
