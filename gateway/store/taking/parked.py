"""Parked deliveries: those whose next attempt is minutes or hours away.

They have left the stream and carry their own body, so they hold back neither trimming nor the
group's pending list. One that is taken stays where it is, hidden for the time of an attempt:
if its taker dies it is due again by itself.
"""

from typing import Any, NamedTuple

from gateway.store import keys
from gateway.store.parcels import Parcel, unpack
from gateway.store.scripts import ScriptCall


class Parked(NamedTuple):
    """What was taken, and when the next one is due (Unix ms; -1: nothing is parked)."""

    parcels: list[tuple[bytes, Parcel]]
    next_due_ms: int


def take_due(
    shard: int, name: str, token: int, *, now_ms: int, hidden_until_ms: int, limit: int
) -> ScriptCall[Parked]:
    """Take up to `limit` deliveries that are due. Error: `Fenced`."""
    return _take(shard, name, token, str(now_ms), hidden_until_ms, limit)


def take_farthest(
    shard: int, name: str, token: int, *, hidden_until_ms: int, limit: int
) -> ScriptCall[Parked]:
    """Take the deliveries whose turn is farthest away, the most often tried. Error: `Fenced`."""
    return _take(shard, name, token, "farthest", hidden_until_ms, limit)


def _take(shard: int, name: str, token: int, *args: str | int) -> ScriptCall[Parked]:
    names = (keys.subscription(shard, name), keys.due(shard, name), keys.parked(shard, name))
    return ScriptCall("take_due", names, (token, *args), _read)


def _read(reply: Any) -> Parked:
    pairs = zip(reply[1::2], reply[2::2], strict=True)
    return Parked([(entry_id, unpack(parcel)) for entry_id, parcel in pairs], reply[0])
