"""What the publisher knows of each shard, as its hash in Redis tells."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.engine.resp import Arg, arguments, pack
from gateway.store import keys
from gateway.store.publishing.digests import DigestSlices
from gateway.store.scripts import script

NOTE = script("note")


@dataclass(slots=True)
class ShardState:
    """One shard, from the view of one journal.

    `position`: it has everything of the journal before; `taken`: how many events that was;
    `elsewhere`: events it took from other journals or from none; `damaged`, `outlived`: records
    that the journal lost before and after they were published, `forgotten`: that Redis has lost
    and the journal does not hold any more; `before`: records that are not published under the
    journal's name, and so taken off `outlived`, None if nobody counted them. `owner`: the token of
    who owns the name; `is_known`: whether the shard has a position of it; `parent`: the position
    of the name before it, None if it has none; `hands`: the tokens that took the name last, each
    with the position that the shard had then.

    `had`: the highest position that it is known to have had; `must_heal`: it has lost a tail,
    so its cursors mean nothing any more; `new_epoch`: what it is called then, or if it has no
    epoch yet.
    """

    position: int
    taken: int
    elsewhere: int
    damaged: int
    outlived: int
    slices: DigestSlices
    must_heal: bool = False
    new_epoch: str = field(default_factory=lambda: os.urandom(6).hex())
    had: int = 0
    forgotten: int = 0
    before: int | None = None
    owner: str = ""
    is_known: bool = False
    parent: int | None = None
    hands: tuple[tuple[str, int], ...] = ()
    _named: tuple[tuple[str, ...], bytes] = ((), b"")
    _closing: tuple[int, bool, bytes] = (-1, False, b"")

    def named(self, names: tuple[str, ...], pack: Callable[[tuple[str, ...]], bytes]) -> bytes:
        """Return `pack(names)`, which is nearly always what it was the last time."""
        if self._named[0] is not names:
            self._named = names, pack(names)
        return self._named[1]

    def closing(self, first_ms: int) -> bytes:
        """Return the last of the packed arguments before the events, the first of which was
        accepted at `first_ms`; nearly always what it was the last time.
        """
        index = self.slices.index(first_ms)
        if self._closing[:2] != (index, self.must_heal):
            epoch = ("!" if self.must_heal else "") + self.new_epoch
            packed = arguments(self.slices.length_ms, index, epoch)
            self._closing = index, self.must_heal, packed
        return self._closing[2]


def read_state(
    flat: Sequence[bytes], journal_id: str, window_ms: int, *, parent: str = ""
) -> ShardState:
    """Return the state that `HGETALL` of the shard's hash says of a journal's name, and of the one
    that it had before.
    """
    fields = {name.decode(): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
    slices = DigestSlices(window_ms)
    elsewhere = 0
    for name, value in fields.items():
        kind, _, rest = name.partition(":")
        if kind == "slice":
            slices.latest[int(rest)] = int(value)
        elif kind == "count" and rest != journal_id:
            elsewhere += int(value)
    position = int(fields.get(f"pos:{journal_id}", 0))
    own = {
        name: int(fields.get(f"{name}:{journal_id}", 0))
        for name in ("count", "damaged", "outlived", "forgotten")
    }
    before = fields.get(f"before:{journal_id}")
    of_parent = fields.get(f"pos:{parent}") if parent else None
    return ShardState(
        position,
        own["count"],
        elsewhere,
        own["damaged"],
        own["outlived"],
        slices,
        forgotten=own["forgotten"],
        before=None if before is None else int(before),
        owner=fields.get(f"owner:{journal_id}", b"").decode(),
        is_known=f"pos:{journal_id}" in fields,
        parent=None if of_parent is None else int(of_parent),
        hands=_hands(fields.get(f"hands:{journal_id}", b"").decode()),
    )


def _hands(said: str) -> tuple[tuple[str, int], ...]:
    taken = (one.partition("@") for one in said.split())
    return tuple((token, int(position)) for token, _, position in taken)


def note(shard: int, *fields: Arg) -> bytes:
    """Return the packed command that writes `fields` (name, value, ...) of a shard."""
    return pack("EVALSHA", NOTE.sha, 1, keys.shard_state(shard), *fields)
