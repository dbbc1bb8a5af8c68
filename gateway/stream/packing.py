"""From events of the journal to the commands that publish them, one for each shard. Pure.

The C piece packs what it can; Python does the same here, byte for byte.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway import native
from gateway.event import Stretch
from gateway.stream import keys
from gateway.stream.batches import Batch, group
from gateway.stream.link import arguments
from gateway.stream.shards import ShardState

_FIXED = 12  # arguments of the command beside the names of slices, and the events


class _Rests(NamedTuple):
    """What was found for `shards`, and for which events it is right."""

    shards: Sequence[ShardState]
    healing: list[bool]
    found: list[tuple[int, bytes, bytes]]
    first_from_ms: int
    first_before_ms: int
    last_before_ms: float

    def still_hold(
        self, shards: Sequence[ShardState], healing: list[bool], first_ms: int, last_ms: int
    ) -> bool:
        return (
            shards is self.shards
            and self.first_from_ms <= first_ms < self.first_before_ms
            and last_ms < self.last_before_ms
            and healing == self.healing
        )


class Packing:
    """Packs for the journal `journal_id`; `sha`: of `lua/publish.lua`."""

    def __init__(self, journal_id: str, sha: str) -> None:
        self._journal_id, self._sha = journal_id, sha
        self._packed_id = arguments(journal_id)
        self._rests: _Rests | None = None

    def commands(
        self, stored: Stretch, upto: int, shards: Sequence[ShardState]
    ) -> tuple[list[int], Iterable[bytes]]:
        """Return who lacks any of `stored`, all of one slice of time, and a command for each."""
        if stored and native.publish is not None and type(stored) is native.stretch:
            heads = self.heads(shards, stored.first_ms, stored.last_ms)
            found: tuple[list[int], list[bytes]] | None
            found = native.publish(stored, heads, self._packed_id, upto)
            if found is not None:
                return found
        batches = group(stored, upto, shards)
        return [one.shard for one in batches], (self.packed(b, shards[b.shard]) for b in batches)

    def heads(
        self, shards: Sequence[ShardState], first_ms: int, last_ms: int
    ) -> list[tuple[int, int, bytes, bytes]]:
        """Return what `native.publish` needs of each shard; all but the position is nearly always
        what it was the last time.
        """
        rests, healing = self._rests, [state.must_heal for state in shards]
        if rests is None or not rests.still_hold(shards, healing, first_ms, last_ms):
            found = [self._rest(n, state, first_ms, last_ms) for n, state in enumerate(shards)]
            rests = self._rests = _Rests(
                shards, healing, found,
                max(state.slices.first.start for state in shards),
                min(state.slices.first.stop for state in shards),
                min(state.slices.last_before_ms for state in shards),
            )  # fmt: skip
        return [(state.position, *rest) for state, rest in zip(shards, rests.found, strict=True)]

    def _rest(
        self, shard: int, state: ShardState, first_ms: int, last_ms: int
    ) -> tuple[int, bytes, bytes]:
        names = state.slices.keys(shard, first_ms, last_ms)
        named = state.named(names, lambda names: self._named(shard, names))
        return _FIXED + len(names), named, state.closing(first_ms)

    def packed(self, batch: Batch, state: ShardState) -> bytes:
        """Return the command for `batch`, whose shard is in `state`."""
        names = state.slices.keys(batch.shard, batch.first_ms, batch.last_ms)
        named = state.named(names, lambda names: self._named(batch.shard, names))
        journal = self._journal_id if batch.upto is not None else ""
        place = arguments(journal, state.position, batch.upto or 0, batch.last_ms)
        events = list(batch.arguments())
        count = _FIXED + len(names) + len(events)
        closing = state.closing(batch.first_ms)
        return b"".join((b"*%d\r\n" % count, named, place, closing, arguments(*events)))

    def _named(self, shard: int, slices: Sequence[str]) -> bytes:
        names = keys.events(shard), keys.shard_state(shard), *slices
        return arguments("EVALSHA", self._sha, len(names), *names)
