"""How far each shard has come with a journal, and what it means when that is not what it was.

Asked for whenever the connection is new. A shard that has less than it had has lost its tail: it
gets it again, and its cursors mean nothing any more. One that has more than the journal: then the
journal's disk has lost its tail, and goes on behind what Redis knows.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gateway.logs import log
from gateway.metrics import Metrics
from gateway.stream import keys
from gateway.stream.batches import group
from gateway.stream.resp import pack
from gateway.stream.shards import ShardState, read_state
from gateway.stream.source import Source

_log = logging.getLogger("gateway.publisher")
_ALL = range(keys.SHARDS)

# Sends packed commands, each about its shard, and returns their replies.
Exchange = Callable[[list[bytes], Sequence[int]], Awaitable[list[Any]]]


async def ask(
    source: Source,
    before: Sequence[ShardState],
    exchange: Exchange,
    metrics: Metrics,
    window_ms: int,
) -> list[ShardState]:
    """Return the state of every shard; `before`: what it was when we last knew, empty if never."""
    commands = [pack("HGETALL", keys.shard_state(shard)) for shard in _ALL]
    replies = await exchange(commands, _ALL)
    states = [read_state(reply, source.id, window_ms) for reply in replies]
    for shard, new in enumerate(states):
        had = before[shard].position if before else source.watermarks.of(shard)
        new.must_heal = new.position < had or (bool(before) and before[shard].must_heal)
        new.had = max(had, before[shard].had) if before else had
        if new.position < had:
            metrics.rewinds.add()
            log(
                _log, logging.WARNING, "Redis has lost entries, healing from the journal",
                shard=shard, had=had, has=new.position,
            )  # fmt: skip
    return states


async def renew_epochs(states: Sequence[ShardState], exchange: Exchange) -> None:
    """Tell at once that cursors of a shard that has lost its tail mean nothing any more, also
    where nothing is left to be healed with. Its next batch tells it again.
    """
    lost = [shard for shard in _ALL if states[shard].must_heal]
    commands = [
        pack("HSET", keys.shard_state(shard), "epoch", states[shard].new_epoch) for shard in lost
    ]
    if lost:
        await exchange(commands, lost)


async def forget(source: Source, states: Sequence[ShardState], exchange: Exchange) -> None:
    """See whether Redis lacks what the journal does not hold any more: all of it is gone, or it is
    an old copy. Nobody can bring that back; the ledger says how much it was.
    """
    positions = [state.position for state in states]
    if min(positions) >= source.start or max(positions) > source.start:
        return
    damaged = sum(state.damaged for state in states)
    outlived = sum(state.outlived for state in states)
    taken = sum(state.taken for state in states)
    forgotten = max(0, source.first_number - 1 - damaged + outlived - taken)
    if forgotten == sum(state.forgotten for state in states):
        return
    field = f"forgotten:{source.id}"  # set, so that asking twice counts once
    await exchange([pack("HSET", keys.shard_state(0), field, forgotten)], (0,))
    states[0].forgotten = forgotten
    log(
        _log, logging.WARNING, "Redis has forgotten what the journal does not hold any more",
        events=forgotten,
    )  # fmt: skip


async def outlive(source: Source, states: Sequence[ShardState], exchange: Exchange) -> None:
    """See whether Redis knows more of the journal than its disk does.

    Then the machine died before the newest records were on disk, after they were published.
    What was appended since moves behind them.
    """
    highest = max(state.position for state in states)
    if highest <= source.opened_at:
        return
    taken = sum(state.taken for state in states)
    damaged = sum(state.damaged for state in states)
    lost = damaged + sum(state.forgotten for state in states)
    kept = source.opened_number - 1 - lost - _unpublished(source, states)
    # All that it ever lost so, not only now: set, so that asking twice counts once.
    outlived = max(0, taken - kept)
    field = f"outlived:{source.id}"
    await exchange([pack("HSET", keys.shard_state(0), field, outlived)], (0,))
    states[0].outlived = outlived
    source.go_on_at(highest)
    log(_log, logging.WARNING, "the journal's disk had lost what Redis has", ever=outlived)


def _unpublished(source: Source, states: Sequence[ShardState]) -> int:
    """Count the records that were there when the journal was opened and their shard lacks."""
    position = max(source.start, min(state.position for state in states))
    count = 0
    while position < source.opened_at:
        piece = source.read_files(position, source.opened_at)
        batches = group(piece.stored, piece.upto, states)
        count += sum(len(batch.events) for batch in batches)
        position = piece.upto
    return count
