"""All shards, as whoever publishes a journal writes to them: what each has, how it gets more.

Each shard's hash in Redis holds the position up to which it has everything from this journal; a
batch that does not follow that position is refused. Whatever fails or is refused, what was written
may be there or not: `ask` then, before anything else is written.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from gateway import clock
from gateway.engine.own_links import OwnLinks
from gateway.engine.replies import explain
from gateway.engine.resp import pack
from gateway.engine.script import in_full
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.event import Event, Stored, Stretch
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.publishing import accounts, names, positions
from gateway.store.publishing.accounts import Beyond
from gateway.store.publishing.batches import group, unjournaled
from gateway.store.publishing.packing import SCRIPTS, Packing
from gateway.store.publishing.shard_state import NOTE, ShardState
from gateway.store.publishing.source import JournalSource
from gateway.store.scripts import script

_ALL = range(keys.SHARDS)
_CHECKPOINT = script("checkpoint")
_OURS = (*SCRIPTS, _CHECKPOINT, names.SCRIPT, NOTE)
_BY_DIGEST = {one.sha.encode(): one.source for one in _OURS}
_LOADS = [pack("SCRIPT", "LOAD", source) for source in _BY_DIGEST.values()]
_FOREIGN = "another gateway publishes this journal"


class ShardWriter:
    """Writes what `source` holds. Everything raises `EngineUnavailable` or `EngineRefused`.

    `restore`: is told which shards have less than they had, and puts back whom Redis has lost of
    those that are to read what is written next.
    """

    def __init__(
        self,
        links: OwnLinks,
        source: JournalSource,
        metrics: Metrics,
        *,
        window_ms: int,
        restore: Callable[[Sequence[int]], Awaitable[None]] | None = None,
    ) -> None:
        self.states: list[ShardState] = []  # empty until the first answer
        self._links, self._source, self._metrics = links, source, metrics
        self._window_ms = window_ms
        self._packing = Packing("", "")
        self._in_full = False  # scripts cannot be called by digest
        self.behind: Beyond | None = None  # as of when Redis and the journal were first compared
        self._restore = restore

    # ---- what they have

    async def ask(self) -> None:
        """Find out what each shard has, and put right what can be known from that alone."""
        self._in_full = _is_refused(await self._links.everywhere(_LOADS, keys.EVENTS))
        asked = await positions.ask(
            self._source, self.states, self._exchange, self._metrics, self._window_ms
        )
        states = self.states = asked.states
        self._packing = Packing(self._source.id, self._source.ownership.token)
        if self._restore is not None:
            await self._restore([at for at, one in enumerate(states) if one.position < one.had])
        await positions.renew_epochs(states, self._exchange)
        await accounts.forget(self._source, states, self._exchange)
        if self.behind is None or asked.created:
            behind = await accounts.beyond(self._source, states)
            await accounts.reconcile(
                self._source,
                states,
                behind,
                self._exchange,
                is_new=bool(asked.created),
                had_left=asked.created == asked.had_left,
            )
            self.behind = behind
        self.remember()

    def remember(self) -> None:
        """Have the journal know how far each shard is, for when we start again; not while some
        shard lacks what it had.
        """
        if self.states and not self.heals_upto:
            self._source.watermarks.keep([state.position for state in self.states])

    @property
    def lowest(self) -> int:
        """Everything before it is in all shards."""
        return min(state.position for state in self.states)

    @property
    def heals_upto(self) -> int:
        """Up to there something may be written again, because a shard has lost it."""
        return max((one.had for one in self.states if one.position < one.had), default=0)

    def count_lost(self, stored: Iterable[Stored]) -> int:
        """Count those that their shard has had before, and lost."""
        states = ((one, self.states[keys.shard_at(one.event.order_hash)]) for one in stored)
        return sum(1 for one, state in states if state.position < one.end <= state.had)

    # ---- how they get more

    async def write(self, stored: Stretch, upto: int) -> bool:
        """Write what shards lack of `stored`, all of one slice of time, behind which they then
        have everything up to `upto`. Return whether all servers were written to.
        """
        join = not self._links.is_split
        shards, commands = self._packing.commands(stored, upto, self.states, join=join)
        return await self._written(commands, shards, upto, join=join)

    async def write_again(self, stored: Stretch, upto: int) -> bool:
        """Do the same with what somebody else may have published too. Within the dedupe window that
        is refused; what is older says that it may come a second time.
        """
        before_ms, join = clock.now_ms() - self._window_ms, not self._links.is_split
        batches = [one.marked_again(before_ms) for one in group(stored, upto, self.states)]
        count = sum(1 for one in batches for event in one.events if event.accepted_ms < before_ms)
        commands = self._packing.packed(batches, self.states, join=join)
        everywhere = await self._written(commands, [one.shard for one in batches], upto, join=join)
        if count:
            self._metrics.again.add(by=count)
        return everywhere

    async def _written(
        self, commands: Sequence[bytes], shards: Sequence[int], upto: int, *, join: bool
    ) -> bool:
        if not shards:
            return False
        await self._send(commands, shards)
        for shard in shards:
            state = self.states[shard]
            state.position, state.must_heal = upto, False
        return join

    async def write_unjournaled(self, events: Sequence[Event]) -> None:
        """Write events that no journal holds."""
        batches = group(unjournaled(events), None, self.states)
        commands = self._packing.packed(batches, self.states, join=not self._links.is_split)
        await self._send(commands, [batch.shard for batch in batches])
        for batch in batches:
            self.states[batch.shard].elsewhere += len(batch.events)

    async def count_damage(self, lost: int) -> None:
        """Have the ledger say how many records damage has cost."""
        await accounts.count_damage(self._source, self.states, self._exchange, lost)

    async def follow(self, cursor: int, accepted_ms: int) -> None:
        """Let shards without traffic follow to `cursor`: a restart need not read far back then."""
        commands = [
            pack(
                "EVALSHA",
                _CHECKPOINT.sha,
                1,
                keys.shard_state(shard),
                self._packing.owned,
                state.position,
                max(cursor, state.position),
                accepted_ms,
                self._window_ms,
            )
            for shard, state in enumerate(self.states)
        ]
        for status, *_ in await self._exchange(commands, _ALL):
            if status == b"FOREIGN":
                raise EngineUnavailable(_FOREIGN)
            if status != b"OK":
                raise EngineUnavailable("a shard's position has moved")
        for state in self.states:
            state.position = max(cursor, state.position)
        self._source.watermarks.keep([state.position for state in self.states])

    # ---- the exchange

    async def _send(self, commands: Sequence[bytes], shards: Sequence[int]) -> None:
        for status, *counts in await self._exchange(commands, shards):
            if status == b"FOREIGN":
                raise EngineUnavailable(_FOREIGN)
            if status != b"OK":
                # Somebody moved the position: an answer of ours that got lost, or a lost tail.
                raise EngineUnavailable(f"a shard is at {int(counts[0])}")
            self._count(*counts)

    def _count(self, published: int, duplicates: int, unfit: int) -> None:
        self._metrics.published.add(by=published)
        if duplicates:
            self._metrics.duplicates.add(by=duplicates)
        if unfit:
            self._metrics.unfit.add(by=unfit)

    async def _exchange(self, commands: Sequence[bytes], shards: Sequence[int]) -> list[Any]:
        if self._in_full:
            commands = [in_full(command, _BY_DIGEST) for command in commands]
        replies = await self._links.exchange(commands, [keys.EVENTS[shard] for shard in shards])
        for reply in replies:
            if isinstance(reply, Exception):
                failure = self._links.explained(reply)
                # Scripts that got lost are loaded on the way back, before positions are asked for.
                raise EngineUnavailable(str(reply)) if _is_lost(reply) else failure
        return replies


def _is_refused(replies: Iterable[Any]) -> bool:
    """Whether a server does not let itself be given scripts beforehand."""
    errors = (reply for reply in replies if isinstance(reply, Exception))
    return any(isinstance(explain(error), EngineRefused) for error in errors)


def _is_lost(error: Exception) -> bool:
    return str(error).startswith("NOSCRIPT")
