"""Where the keeper of call states stands on one shard: its lease, its place, what comes next.

A place in the stream and no consumer group: taking an event in twice changes no state, so
nothing has to be pending, and what says nothing about a call is passed over without leaving
Redis. The place is moved together with the next reading, in one step, under the lease's token.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.store import keys
from gateway.store.entries import Entry, read_entries
from gateway.store.scripts import ScriptCall
from gateway.store.taking.consumer_group import HeldElsewhere
from gateway.store.taking.holders import Holder


class KeeperPlace(NamedTuple):
    """An entry, by its id and its number in the shard; before the first one: 0-0 and 0."""

    id: bytes
    number: int


class KeeperRead(NamedTuple):
    """What comes next. `more`: a bound stopped the reading, not the end of the stream."""

    more: bool
    place: KeeperPlace
    let_go: int
    entries: list[Entry]


class KeptShard:
    """The calls that a keeper makes on one shard. `token` is that of the lease."""

    def __init__(self, shard: int) -> None:
        self.shard = shard
        self._names = (keys.events(shard), keys.subscription(shard, keys.CALL_KEEPER))

    def hold(self, holder: Holder, ttl_ms: int) -> ScriptCall[int | HeldElsewhere]:
        """Take the lease: its token, or who waits for how long."""
        args: list[str | int] = [holder.name, ttl_ms, *holder.ours]
        return ScriptCall("keep_lease", self._names[1:], args, _read_lease)

    def release(self, token: int) -> ScriptCall[int]:
        return ScriptCall("release", self._names[1:], (token,), int)

    def keep(
        self,
        token: int,
        ttl_ms: int,
        done: KeeperPlace | None,
        *,
        count: int,
        max_bytes: int,
        passing_over: Iterable[str],
        letting_go: Iterable[str] = (),
    ) -> ScriptCall[KeeperRead]:
        """Say that all up to `done` is kept, and read on; prolongs the lease.

        Events of the types `passing_over` and `letting_go` are not read; the latter are counted.
        """
        place = ("", 0) if done is None else done
        args = (token, ttl_ms, *place, count, max_bytes, _lines(passing_over), _lines(letting_go))
        return ScriptCall("keep", self._names, args, _read)


def _lines(types: Iterable[str]) -> str:
    return "".join(f"{kind}\n" for kind in types)


def _read_lease(reply: Any) -> int | HeldElsewhere:
    token, wait_ms = reply
    return int(token) if token else HeldElsewhere(wait_ms / 1000)


def _read(reply: Any) -> KeeperRead:
    more, entry_id, number, let_go, entries = reply
    return KeeperRead(bool(more), KeeperPlace(entry_id, int(number)), let_go, read_entries(entries))
