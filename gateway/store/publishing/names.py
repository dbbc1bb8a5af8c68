"""Whose a journal's name is: taken anew at each start, and looked at in every step that publishes.

In Redis a name bears the token of its owner, on each shard; the journal's folder has all tokens
that may be there of us. Another one means another hand: a copy of the folder is at work, or was.
Then this journal takes a new name. It begins where it last knew each shard to be, so what it
alone holds is published, and what the other holds as well is refused as a duplicate.

The same where Redis has more under the name than the journal had when it was opened: its disk has
lost the end, so what was appended since would stand at positions that name other records.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from gateway import clock
from gateway.engine.resp import pack
from gateway.errors import EngineUnavailable
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.publishing.shard_state import ShardState, read_state
from gateway.store.publishing.source import JournalSource
from gateway.store.scripts import script

_log = logging.getLogger("gateway.publisher")
_ALL = range(keys.SHARDS)
SCRIPT = script("own")
# As in `lua/checkpoint.lua`: so long after its last checkpoint a name leaves.
LEAVES_AFTER_MS = 7 * 86_400_000
_HAD_LEFT = 2  # as `lua/own.lua` says it

# Sends packed commands, each about its shard, and returns their replies.
Exchange = Callable[[list[bytes], Sequence[int]], Awaitable[list[Any]]]


class OwnedName(NamedTuple):
    """What each shard has now. `created`: shards that had no position of the name; `had_left`: of
    these, those that it had left for having been silent.
    """

    states: list[ShardState]
    created: frozenset[int]
    had_left: frozenset[int] = frozenset()


class NewName(NamedTuple):
    """Why the name is given up, and where each shard begins under the new one."""

    is_foreign: bool
    begins: list[int]


def new_name(
    states: Sequence[ShardState], known: Sequence[int], opened: int | None, tokens: Sequence[str]
) -> NewName | None:
    """Say whether a journal has to take a new name. Pure.

    `known`: what each shard is known to have had; `opened`: where the first opening of the journal
    began that Redis has not confirmed, None if there is none; `tokens`: ours.
    """
    positions = [one.position for one in states]
    is_foreign = any(one.owner and one.owner not in tokens for one in states)
    if is_foreign:
        # What the other hand has published under the name says nothing of what is ours.
        limits = known if opened is None else [min(one, opened) for one in known]
        begins = [
            min(limit, one.position, *(place for hand, place in one.hands if hand not in tokens))
            for limit, one in zip(limits, states, strict=True)
        ]
        return NewName(is_foreign, begins)
    if opened is not None and max(positions) > opened:
        return NewName(is_foreign, [min(one, opened) for one in positions])
    return None


async def read(source: JournalSource, exchange: Exchange, window_ms: int) -> list[ShardState]:
    """Return the state of every shard, from the view of `source`."""
    commands = [pack("HGETALL", keys.shard_state(shard)) for shard in _ALL]
    replies = await exchange(commands, _ALL)
    parent = source.ownership.parent
    return [read_state(reply, source.id, window_ms, parent=parent) for reply in replies]


async def own(
    source: JournalSource,
    known: Sequence[int],
    exchange: Exchange,
    metrics: Metrics,
    *,
    window_ms: int,
    told_ms: int,
) -> OwnedName:
    """Take the journal's name, or a new one, and return what each shard has under it.

    `known`: what each shard is known to have had; `told_ms`: when Redis last heard of the journal,
    Unix ms. Raises `EngineUnavailable` when somebody else took it meanwhile: then ask again.
    """
    states = await read(source, exchange, window_ms)
    found = new_name(states, known, source.ownership.opened, source.ownership.tokens)
    if found is not None:
        _rename(source, found, metrics)
        known = found.begins
    created, had_left = await _take(source, known, exchange, told_ms)
    source.ownership.confirm()
    return OwnedName(await read(source, exchange, window_ms), created, had_left)


def _rename(source: JournalSource, found: NewName, metrics: Metrics) -> None:
    old, opened = source.id, source.ownership.opened
    # Another hand may have all that there is so far; a disk's lost end was published before.
    is_shared_upto = source.end if found.is_foreign or opened is None else opened
    source.rename(found.begins, is_shared_upto)
    metrics.renamed.add()
    why = (
        "another gateway publishes this journal: its data_dir was copied, or is an older copy;"
        " every gateway needs a data_dir of its own"
        if found.is_foreign
        else "Redis has more of this journal than its disk: the disk lost the end of it, or another"
        " gateway runs on a copy of its data_dir"
    )
    log(
        _log,
        logging.WARNING,
        "the journal goes on under a new name",
        why=why,
        name=source.id,
        before=old,
    )


async def _take(
    source: JournalSource, known: Sequence[int], exchange: Exchange, told_ms: int
) -> tuple[frozenset[int], frozenset[int]]:
    ownership = source.ownership
    ours = ownership.tokens
    token = ownership.expect()
    next_ms = _next_ms(source, min(known)) or clock.now_ms()
    commands = [
        pack(
            "EVALSHA",
            SCRIPT.sha,
            1,
            keys.shard_state(shard),
            source.id,
            token,
            next_ms,
            ownership.parent,
            ownership.began(shard),
            known[shard],
            told_ms + LEAVES_AFTER_MS,
            *ours,
        )
        for shard in _ALL
    ]
    replies = await exchange(commands, _ALL)
    if any(status != b"OK" for status, *_ in replies):
        raise EngineUnavailable("another gateway has taken the journal's name")
    why = [reply[2] for reply in replies]
    return (
        frozenset(shard for shard in _ALL if why[shard]),
        frozenset(shard for shard in _ALL if why[shard] == _HAD_LEFT),
    )


def _next_ms(source: JournalSource, position: int) -> int | None:
    """Return when the first record behind `position` was accepted: digests that it may be a
    duplicate of are kept until it is published.
    """
    piece = source.peek(max(position, source.start), source.end)
    return piece.stored.first_ms if piece.stored else None
