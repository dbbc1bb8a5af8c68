"""One subscriber's consumer group on one shard: its lease, and what it reads.

A group is read by one holder at a time. The lease lives in Redis, beside what it protects, and
every script that reads or settles compares the token first: a holder that wakes late is
answered `Fenced`. What was read stays in the group's pending list until it is settled, so a
dead holder's successor finds it there.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from gateway.store import keys
from gateway.store.entries import Entry, read_entries
from gateway.store.scripts import ScriptCall
from gateway.store.taking.holders import Holder
from gateway.store.taking.settling import Settling, settle_call

Start = Literal["now", "earliest"]
Joined = Literal["new", "healed", "there"]


class Taken(NamedTuple):
    """New entries; `more`: a bound stopped the reading, not the end of the stream."""

    more: bool
    entries: list[Entry]


class Reclaimed(NamedTuple):
    """Part of what an earlier holder left; all of it once `cursor` is back at `0-0`."""

    cursor: bytes
    entries: list[Entry]
    vanished: int  # pending, but no longer in the stream: must be 0


class Acquired(NamedTuple):
    """The lease is ours, under this token; the group has been read up to `taken`."""

    token: int
    taken: bytes
    token_before: int  # whose work this lease goes on with


@dataclass(frozen=True, slots=True)
class HeldElsewhere:
    """Somebody else has the lease, for `wait_s` more seconds unless it is renewed."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """What waits for a subscriber on one shard."""

    unread: int
    unread_bytes: int
    oldest_unread_ms: int  # Unix ms at which it was published; 0: nothing is unread
    in_flight: int
    parked: int
    parked_bytes: int
    next_due_ms: int  # -1: nothing is parked


class Group:
    """The calls that one subscriber makes on one shard. `token` is that of the lease."""

    def __init__(self, shard: int, name: str) -> None:
        self.shard = shard
        self.name = name
        self._events = keys.events(shard)
        self._shard = keys.shard_state(shard)
        self._sub = keys.subscription(shard, name)
        self._due = keys.due(shard, name)

    def join(self, start: Start) -> ScriptCall[Joined]:
        names = (self._events, self._shard, self._sub, self._due)
        return ScriptCall("join", names, (self.name, start), bytes.decode)  # type: ignore[arg-type]

    def acquire(self, holder: Holder, ttl_ms: int) -> ScriptCall[Acquired | HeldElsewhere]:
        args: list[str | int] = [holder.name, ttl_ms, *holder.ours]
        return ScriptCall("acquire", (self._sub,), args, _read_lease)

    def renew(self, token: int, ttl_ms: int) -> ScriptCall[Standing]:
        names = (self._events, self._shard, self._sub, self._due)
        return ScriptCall("renew", names, (self.name, token, ttl_ms), _read_standing)

    def release(self, token: int) -> ScriptCall[int]:
        return ScriptCall("release", (self._sub,), (token,), int)

    def take(self, token: int, count: int, max_bytes: int) -> ScriptCall[Taken]:
        """Read new entries in order, up to `count` or about `max_bytes`."""
        args = (self.name, token, count, max_bytes)
        return ScriptCall("take", (self._events, self._sub), args, _read_taken)

    def reclaim(self, token: int, cursor: bytes, count: int) -> ScriptCall[Reclaimed]:
        """Read again what an earlier holder has read and not settled, from `cursor` on."""
        args = (self.name, token, cursor, count)
        return ScriptCall("reclaim", (self._events, self._sub), args, _read_reclaimed)

    def settle(self, token: int, batch: Settling) -> ScriptCall[list[int]]:
        return settle_call(self.shard, self.name, token, batch)


def _read_taken(reply: Any) -> Taken:
    return Taken(bool(reply[0]), read_entries(reply[1]))


def _read_lease(reply: Any) -> Acquired | HeldElsewhere:
    return Acquired(reply[0], *reply[2:4]) if reply[0] else HeldElsewhere(reply[1] / 1000)


def _read_standing(reply: Any) -> Standing:
    unread, unread_bytes, oldest, in_flight, parked, parked_bytes, due = reply
    return Standing(unread, unread_bytes, oldest, in_flight, parked, parked_bytes, due)


def _read_reclaimed(reply: Any) -> Reclaimed:
    vanished = len(reply[2]) if len(reply) > 2 else 0
    return Reclaimed(reply[0], read_entries(reply[1]), vanished)
