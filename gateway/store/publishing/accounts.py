"""Whether what a journal has written and what Redis has taken of it add up, and why if not.

Records are numbered, without a gap. So the number of the first record that no shard has yet tells
how many came before it, and each of them was taken, is still to be taken, or is lost. A loss is
told only where there is a reason for it: damage in the files, entries that Redis has lost. What
has none shows in the ledger, as a balance that is not 0.

All is written as sums, so that asking twice counts once.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from gateway.logs import log
from gateway.store.publishing.batches import group
from gateway.store.publishing.names import Exchange
from gateway.store.publishing.shard_state import ShardState, note
from gateway.store.publishing.source import JournalSource

_log = logging.getLogger("gateway.publisher")
_Fields = dict[str, int]


class Beyond(NamedTuple):
    """What is not in all shards yet: `lacking` of the records before `position`; behind it, the
    first is the `number`th. `is_damaged`: some of the files there does not check.
    """

    position: int
    number: int
    lacking: int
    is_damaged: bool


async def beyond(source: JournalSource, states: Sequence[ShardState]) -> Beyond:
    """Read what some shard lacks and another has, and look behind it. Raises `OSError`."""
    positions = [state.position for state in states]
    at, highest = max(source.start, min(positions)), max(source.start, *positions)
    lacking, is_damaged = 0, False
    while at < highest:
        piece = source.peek(at, highest)
        lacking += sum(len(batch.events) for batch in group(piece.stored, piece.upto, states))
        is_damaged |= bool(piece.damage)
        at = piece.upto
        await asyncio.sleep(0)  # it may be much, where a shard has lost all
    while at < source.end:
        piece = source.peek(at, source.end)
        is_damaged |= bool(piece.damage)
        if piece.stored:
            return Beyond(highest, piece.stored.first_number, lacking, is_damaged)
        at = piece.upto
    return Beyond(highest, source.next_number, lacking, is_damaged)


async def forget(source: JournalSource, states: Sequence[ShardState], exchange: Exchange) -> None:
    """See whether Redis lacks what the journal does not hold any more: all of it is gone, or it is
    an old copy. Nobody can bring that back; the ledger says how much it was.
    """
    positions = [state.position for state in states]
    if min(positions) >= source.start or max(positions) > source.start:
        return
    sums = _sums(states)
    forgotten = source.first_number - 1 - sums.damaged + sums.outlived - sums.taken
    if forgotten > 0 and forgotten != sums.forgotten:
        await _set(source, states, exchange, {"forgotten": forgotten})
        _tell_forgotten(forgotten)


async def reconcile(
    source: JournalSource,
    states: Sequence[ShardState],
    behind: Beyond,
    exchange: Exchange,
    *,
    is_new: bool,
    had_left: bool,
) -> None:
    """Put right what can be explained. `is_new`: some shard had no position of the name;
    `had_left`: all of them because it had left, so its sums are among those of names that have.
    """
    now, has_parent = _sums(states), any(state.parent is not None for state in states)
    is_new_name = has_parent and (is_new or states[0].before is None)
    is_new_name |= is_new and had_left
    missing = behind.number - 1 - now.taken - behind.lacking - now.lost
    if is_new_name:
        before = (states[0].before or 0) + missing
        await _set(source, states, exchange, {"before": before, "outlived": now.outlived - missing})
    elif is_new and missing > 0 and not (behind.is_damaged and _never_had_any(states)):
        await _set(source, states, exchange, {"forgotten": now.forgotten + missing})
        _tell_forgotten(missing)
    elif behind.is_damaged and missing > 0:
        await count_damage(source, states, exchange, missing)
    elif missing < 0 and (behind.is_damaged or await _is_damaged(source, behind.position)):
        await _set(source, states, exchange, {"outlived": now.outlived - missing})
        log(_log, logging.WARNING, "the journal's disk had lost what Redis has", events=-missing)


def _never_had_any(states: Sequence[ShardState]) -> bool:
    return not any(state.had for state in states)


async def _is_damaged(source: JournalSource, upto: int) -> bool:
    """Tell whether some of the files before `upto` does not check: zeros as long as what they took
    the place of end where all shards are, and nothing else shows them.
    """
    at = source.start
    while at < upto:
        piece = source.peek(at, upto)
        if piece.damage:
            return True
        at = piece.upto
        await asyncio.sleep(0)  # it may be much
    return False


async def count_damage(
    source: JournalSource, states: Sequence[ShardState], exchange: Exchange, lost: int
) -> None:
    """Have the ledger say how many records damage has cost."""
    await _set(source, states, exchange, {"damaged": _sums(states).damaged + lost})
    log(_log, logging.ERROR, "events were lost to journal damage", events=lost)


class _Sums(NamedTuple):
    taken: int
    damaged: int
    outlived: int
    forgotten: int

    @property
    def lost(self) -> int:
        """How many of the records that were numbered need not be taken."""
        return self.damaged + self.forgotten - self.outlived


def _sums(states: Sequence[ShardState]) -> _Sums:
    return _Sums(*(sum(getattr(state, name) for state in states) for name in _Sums._fields))


async def _set(
    source: JournalSource, states: Sequence[ShardState], exchange: Exchange, sums: _Fields
) -> None:
    """Have the ledger say `sums`: all of them stand on the first shard, and on no other."""
    fields: list[str | int] = []
    for name, value in sums.items():
        fields += [f"{name}:{source.id}", value]
        setattr(states[0], name, value)
    await exchange([note(0, *fields)], (0,))


def _tell_forgotten(events: int) -> None:
    log(
        _log,
        logging.WARNING,
        "Redis has forgotten what the journal does not hold any more",
        events=events,
    )
