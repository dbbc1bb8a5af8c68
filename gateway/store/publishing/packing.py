"""From events of the journal to the commands that publish them. Pure.

One command carries all of them where one server has every shard: it is answered once, when the
work is done, where a command for each shard would have us woken for a few at a time. Else each
shard has its own. The C piece packs what it can; Python does the same here, byte for byte.
"""

from collections.abc import Sequence
from typing import NamedTuple

from gateway import native
from gateway.engine.resp import arguments
from gateway.event import Stretch
from gateway.store import keys
from gateway.store.publishing.batches import Batch, group
from gateway.store.publishing.shard_state import ShardState
from gateway.store.scripts import joined, script

SCRIPTS = script("publish"), joined("publish")
_ALONE, _JOINED = (arguments("EVALSHA", one.sha) for one in SCRIPTS)
OWN_KEYS, ARGUMENTS = 2, 7  # of the script: beside the slices, before the events


class _Rests(NamedTuple):
    """What was found for `shards`, and for which events it is right."""

    shards: Sequence[ShardState]
    found: list[tuple[int, bytes, bytes]]
    first_from_ms: int
    first_before_ms: int
    last_before_ms: float

    def still_hold(self, shards: Sequence[ShardState], first_ms: int, last_ms: int) -> bool:
        return (
            shards is self.shards
            and self.first_from_ms <= first_ms < self.first_before_ms
            and last_ms < self.last_before_ms
        )


class Packing:
    """Packs for the journal of that `name`, whose owner's token is `token`."""

    def __init__(self, name: str, token: str) -> None:
        self.owned = f"{name} {token}"  # as the scripts read it
        self._packed_id = arguments(self.owned)
        self._rests: _Rests | None = None

    def commands(
        self, stored: Stretch, upto: int, shards: Sequence[ShardState], *, join: bool
    ) -> tuple[list[int], list[bytes]]:
        """Return who lacks any of `stored`, all of one slice of time, and a command for each; with
        `join` one for all of them, if there are any.
        """
        if stored and native.publish is not None and type(stored) is native.stretch:
            heads = self.heads(shards, stored.first_ms, stored.last_ms)
            lead = _JOINED if join else _ALONE
            found: tuple[list[int], list[bytes]] | None
            found = native.publish(stored, heads, self._packed_id, upto, lead, join)
            if found is not None:
                return found
        batches = group(stored, upto, shards)
        return [one.shard for one in batches], self.packed(batches, shards, join=join)

    def heads(
        self, shards: Sequence[ShardState], first_ms: int, last_ms: int
    ) -> list[tuple[int, int, bytes, bytes]]:
        """Return what `native.publish` needs of each shard; all but the position is nearly always
        what it was the last time.
        """
        rests = self._rests
        if rests is None or not rests.still_hold(shards, first_ms, last_ms):
            found = [self._rest(n, state, first_ms, last_ms) for n, state in enumerate(shards)]
            rests = _Rests(
                shards,
                found,
                max(state.slices.first.start for state in shards),
                min(state.slices.first.stop for state in shards),
                min(state.slices.last_before_ms for state in shards),
            )
            # One that must heal has healed with its next batch; that one has come to have to shows
            # only when all are asked anew.
            is_healing = any(state.must_heal for state in shards)
            self._rests = None if is_healing else rests
        return [(state.position, *rest) for state, rest in zip(shards, rests.found, strict=True)]

    def _rest(
        self, shard: int, state: ShardState, first_ms: int, last_ms: int
    ) -> tuple[int, bytes, bytes]:
        names = state.slices.keys(shard, first_ms, last_ms)
        named = state.named(names, lambda names: _named(shard, names))
        return len(names) + OWN_KEYS, named, state.closing(first_ms)

    def packed(
        self, batches: Sequence[Batch], shards: Sequence[ShardState], *, join: bool
    ) -> list[bytes]:
        """Return a command for each of `batches`, or with `join` one for all, if there are any."""
        pieces = [self._piece(batch, shards[batch.shard]) for batch in batches]
        if not join:
            return [_command(_ALONE, [one]) for one in pieces]
        if not pieces:
            return []
        return [_command(_JOINED, [one.counted() for one in pieces])]

    def _piece(self, batch: Batch, state: ShardState) -> "_Piece":
        names = state.slices.keys(batch.shard, batch.first_ms, batch.last_ms)
        named = state.named(names, lambda names: _named(batch.shard, names))
        journal = self.owned if batch.upto is not None else ""
        place = arguments(journal, state.position, batch.upto or 0, batch.last_ms)
        events = list(batch.arguments())
        packed = b"".join((place, state.closing(batch.first_ms), arguments(*events)))
        return _Piece(len(names) + OWN_KEYS, named, ARGUMENTS + len(events), packed)


class _Piece(NamedTuple):
    """What a command asks of one shard: so many keys and arguments, packed."""

    keys: int
    named: bytes
    own: int
    packed: bytes

    def counted(self) -> "_Piece":
        """Return it with how many there are among the arguments, as `lua/joined.lua` wants it."""
        lead = arguments(self.own, self.keys)
        return self._replace(own=self.own + 2, packed=lead + self.packed)


def _command(lead: bytes, pieces: Sequence[_Piece]) -> bytes:
    names = sum(one.keys for one in pieces)
    count = 3 + names + sum(one.own for one in pieces)
    parts = [b"*%d\r\n" % count, lead, arguments(names)]
    parts += [one.named for one in pieces]
    parts += [one.packed for one in pieces]
    return b"".join(parts)


def _named(shard: int, slices: Sequence[str]) -> bytes:
    return arguments(keys.events(shard), keys.shard_state(shard), *slices)
