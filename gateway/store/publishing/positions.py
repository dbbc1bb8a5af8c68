"""How far each shard has come with a journal, and what it means when that is not what it was.

Asked for whenever the connection is new. A shard that has less than it had has lost its tail: it
gets it again, and its cursors mean nothing any more.
"""

import logging
from collections.abc import Sequence

from gateway import clock
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.publishing.names import Exchange, OwnedName, own, read
from gateway.store.publishing.shard_state import ShardState, note
from gateway.store.publishing.source import JournalSource

_log = logging.getLogger("gateway.publisher")
_ALL = range(keys.SHARDS)


async def ask(
    source: JournalSource,
    before: Sequence[ShardState],
    exchange: Exchange,
    metrics: Metrics,
    window_ms: int,
) -> OwnedName:
    """Return the state of every shard, whose owner we then are; `before`: what it was when we last
    knew, empty at the start. Raises `EngineUnavailable` when somebody came between.
    """
    known = [before[one].position if before else source.watermarks.of(one) for one in _ALL]
    first = await read(source, exchange, window_ms)
    states, created, had_left = first, frozenset[int](), frozenset[int]()
    if not before or not _is_ours(source, first):
        told_ms = clock.now_ms() if before else source.last_ms
        states, created, had_left = await own(
            source, known, exchange, metrics, window_ms=window_ms, told_ms=told_ms
        )
    for shard, new in enumerate(states):
        # Under the name that is known, should there be another one now.
        has, had = max(first[shard].position, new.position), known[shard]
        new.must_heal = has < had or (bool(before) and before[shard].must_heal)
        new.had = max(had if has < had else new.position, before[shard].had if before else 0)
        if has < had:
            metrics.rewinds.add()
            log(
                _log,
                logging.WARNING,
                "Redis has lost entries, healing from the journal",
                shard=shard,
                had=had,
                has=has,
            )
    return OwnedName(states, created, had_left)


def _is_ours(source: JournalSource, states: Sequence[ShardState]) -> bool:
    token = source.ownership.token
    return bool(token) and all(one.owner == token and one.is_known for one in states)


async def renew_epochs(states: Sequence[ShardState], exchange: Exchange) -> None:
    """Tell at once that cursors of a shard that has lost its tail mean nothing any more, also
    where nothing is left to be healed with. Its next batch tells it again.
    """
    lost = [shard for shard in _ALL if states[shard].must_heal]
    commands = [note(shard, "epoch", states[shard].new_epoch) for shard in lost]
    if lost:
        await exchange(commands, lost)
