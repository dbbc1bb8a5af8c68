"""Who makes room when places, memory or files run short. Pure.

Whoever has brought a signed request within `SIGNED_S` never does, nor does one that waits for the
answer to such a request. Of the others those go first that have never brought a signed one: the
idle, the longest first; then those whose request does not become whole, the slowest first; then
those who have just connected and said nothing, the oldest first; then those whose requests are
being answered, or one who sends them without a pause would be safe. Then the same of those who
have signed, long ago. Of whoever connected a moment ago nobody can tell yet what becomes of it: it
makes room last, and only for one that has something to say. No address is looked at: behind a
proxy all come from one.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, TypeVar

SIGNED_S = 60.0
YOUNG_S = 1.0
# How long it takes until a first word is there, if one comes: it leaves right behind the connection,
# but over TLS only when the other side has answered twice.
MOMENT_S, TLS_MOMENT_S = 0.02, 0.25
_PIECE_BYTES = 64 << 10

_IDLE, _UNFINISHED, _YOUNG, _BUSY, _SIGNED_IDLE, _SIGNED_UNFINISHED = range(6)
NEW = 6  # from here on nobody makes room for one who says nothing either
_NEW, _NEW_UNFINISHED = range(NEW, NEW + 2)


class Standing(NamedTuple):
    """How a connection stands that may be ended; times by time.perf_counter()."""

    opened_at: float
    since: float  # idle, or since the beginning of its request
    received: int | None  # bytes of a request that is not whole; None: idle
    read_at: float  # when something came last
    signed_at: float  # when it last brought a signed request; 0: never
    unheard: bool = False  # nothing has ever come
    busy: bool = False  # its request is being answered


class Held(Protocol):
    """A connection, as far as it is looked at here."""

    @property
    def standing(self) -> Standing | None:
        """How it stands; None while a signed request is under way."""

    @property
    def unfinished_bytes(self) -> int:
        """What it holds of a request that is not whole."""


H = TypeVar("H", bound=Held)


def pace(one: Standing, now: float) -> float:
    """Return how fast an unfinished request arrives, in bytes a second.

    That of all of it; or, where it has come to a halt, as if the next piece came now.
    """
    arriving_s = max(now - one.since, 1e-6)
    return min((one.received or 0) / arriving_s, _PIECE_BYTES / max(now - one.read_at, 1e-6))


def turn(one: Standing, now: float, moment_s: float = MOMENT_S) -> tuple[int, float] | None:
    """Return when its turn is to make room, the lowest first; None: never now."""
    if one.signed_at:
        if one.busy or now - one.signed_at < SIGNED_S:
            return None
        idle = one.received is None
        return (_SIGNED_IDLE, one.since) if idle else (_SIGNED_UNFINISHED, pace(one, now))
    age_s = now - one.opened_at
    if one.busy:
        return _BUSY, one.opened_at
    if one.received is not None:
        return (_UNFINISHED if age_s >= moment_s else _NEW_UNFINISHED), pace(one, now)
    if one.unheard and age_s < YOUNG_S:
        return (_YOUNG if age_s >= moment_s else _NEW), one.opened_at
    return _IDLE, one.since


def by_turn(
    held: Iterable[H], now: float, most: int, moment_s: float = MOMENT_S
) -> list[tuple[H, Standing]]:
    """Return at most so many that may make room, in their order, with how they stand."""
    found = []
    for number, one in enumerate(held):
        standing = one.standing
        if standing is not None and (at := turn(standing, now, moment_s)) is not None:
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
