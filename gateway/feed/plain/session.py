"""One client of the plain feed, on whichever transport: what it watches, and its way to live.

The order of a beginning is what makes it gap-free: access is checked, the calls are joined in
the hub, and in the same step it is written down where the tail stands. From there on live events
wait in the watcher. Then comes what is asked of history, then what waited, then what is live.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple

from gateway.calls.access import Access
from gateway.calls.allowance import Allowance
from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity
from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable
from gateway.event import MADE_HERE
from gateway.feed import waiting
from gateway.feed.connection_ids import ConnectionIds
from gateway.feed.connections import Connections
from gateway.feed.hub import Hub
from gateway.feed.leaving import Leaving
from gateway.feed.opening import Opening
from gateway.feed.plain import cursors, messages, replay
from gateway.feed.plain.access import PlainAccess, Shows
from gateway.feed.plain.cursors import Cursor, CursorPlace
from gateway.feed.plain.frames import PlainFrames
from gateway.feed.plain.refusals import BadRequest, Refusal, deleted, no_place, shut_out
from gateway.feed.plain.replay import ReplayBroken
from gateway.feed.plain.requests import Message, read_types
from gateway.feed.plain.watcher import PlainWatcher
from gateway.feed.waiting import Waiting
from gateway.metrics import Metrics
from gateway.options import FeedOptions
from gateway.store.entries import Id
from gateway.store.states.call_documents import NOTHING
from gateway.store.states.call_store import CallStore
from gateway.store.watching.history import PastEntry
from gateway.store.watching.tail import Tail

_TAIL_PATIENCE_S = 2.0  # for our tail to reach a cursor that another process gave
_TAIL_POLL_S = 0.01
_REPLAYS_AT_ONCE = 16


@dataclass(slots=True)
class PlainParts:
    """What all sessions of a process share."""

    engine: Engine
    hub: Hub
    frames: PlainFrames
    access: Access
    allowance: Allowance
    calls: CallStore
    options: FeedOptions
    connections: Connections
    tail: Tail
    opening: Opening
    names: ConnectionIds
    metrics: Metrics
    leaving: Leaving
    waiting: Waiting
    shows: Shows | None
    replays: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_REPLAYS_AT_ONCE))


class Admitted(NamedTuple):
    """Of the calls asked for: what may be watched, waited for, and for what there is no place.

    `asked_s`: when it was asked, monotonic.
    """

    calls: list[str]
    waiting: list[str]
    turned_away: list[str]
    asked_s: float


class PlainSession:
    """Made once who asks is known. Ends when its transport does: `close` then."""

    def __init__(
        self, parts: PlainParts, identity: Identity, watcher: PlainWatcher, token: str | None
    ) -> None:
        """`token`: by which Stream is asked, where it is."""
        self._parts = parts
        self._access = PlainAccess(
            parts.access,
            parts.leaving,
            identity,
            shows=parts.shows,
            token=token,
            made_here=watcher.made_here,
        )
        self.app, self.user_id = identity.app, identity.user_id
        self._identity = identity
        self._waits: dict[str, bool] = {}  # for which calls, and whether for a snapshot too
        self._watcher = watcher
        watcher.on_barred, watcher.on_aside = self._bar, self._set_aside
        watcher.on_deleted = self._end_deleted
        self._is_live = False
        self._begins: dict[str, Id] = {}  # behind which event a call begins that names its watcher
        self._made_here: frozenset[str] = frozenset()  # of which history has what clients made
        self.expiry: asyncio.TimerHandle | None = None  # of the token: nobody outlives it

    async def admit(self, asked: Message) -> Admitted:
        """See what of it may be watched. Raises `Refusal`, `EngineUnavailable`."""
        limit = self._parts.options.max_watched_calls
        if len(self._watcher.calls.union(asked.calls, self._waits)) > limit:
            raise BadRequest(f"one connection can watch {limit} calls")
        # From here on the hub sees who leaves: nobody does so between the two unnoticed.
        await self._parts.tail.standing(_TAIL_PATIENCE_S)
        asked_s = monotonic()
        calls: list[str] = []
        others: list[str] = []
        for cid in asked.calls:
            (calls if await self._access.may_watch(cid) else others).append(cid)
        fresh = [cid for cid in others if cid not in self._waits]
        room = waiting.MOST_OF_CONNECTION - len(self._waits)
        return Admitted(calls, fresh[:room], fresh[room:], asked_s)

    async def begin(self, asked: Message, admitted: Admitted) -> None:
        """Watch what was admitted, tell what was missed, and go live. Returns when live.

        Raises `Refusal`, `EngineUnavailable`, `EngineRefused`, `ConnectionError`.
        """
        watcher = self._watcher
        watcher.wants = read_types(asked)
        since = cursors.decode(asked.since) if asked.since is not None else None
        await self._tail_at(since or {}, map(watcher.shard_of, admitted.calls))
        watcher.hold()
        self._join(admitted.calls, admitted.asked_s)
        self._wait_for(admitted, asked)
        if not watcher.calls and not self._waits:
            raise no_place(admitted.turned_away)
        upto = self._parts.frames.cursor(watcher.shards)
        if asked.since is None:
            self._watching(upto, recovered=None)
            await self._snapshots(asked, admitted.calls)
        else:
            async with self._parts.replays:
                await self._resume(asked, admitted.calls, since, upto)
        watcher.release()
        watcher.join(self._parts.hub)
        self._turn_away(admitted)
        self._is_live = True
        for cid in self._waits:
            self._parts.waiting.ask(self, cid)

    async def watch(self, asked: Message) -> None:
        """Watch more. Raises `Refusal`, `EngineUnavailable` or `ConnectionError`."""
        if asked.since is not None:
            raise BadRequest("since belongs in the first watch of a connection")
        if asked.types is not None:
            raise BadRequest("types belong in the first watch of a connection")
        try:
            self._parts.allowance.request(self._identity, calls=len(asked.calls))
        except StreamError as error:
            raise Refusal(error.code, error.status, error.message, asked.calls) from None
        admitted = await self.admit(asked)
        await self._tail_at({}, map(self._watcher.shard_of, admitted.calls))
        self._stop_waiting(admitted.calls)
        self._join(admitted.calls, admitted.asked_s)
        self._wait_for(admitted, asked)
        self._watching(self._parts.frames.cursor(self._watcher.shards), recovered=None)
        await self._snapshots(asked, admitted.calls)
        self._turn_away(admitted)

    def unwatch(self, asked: Message) -> None:
        self._stop_waiting(asked.calls)
        self._leave(asked.calls)
        self._watching(self._parts.frames.cursor(self._watcher.shards), recovered=None)

    # ---- waiting for a call to name the user

    async def ask_again(self, call_cid: str) -> None:
        """Watch a call that was waited for, if it may be by now. Raises `EngineUnavailable`."""
        if call_cid not in self._waits or not self._is_live:
            return
        asked_s = monotonic()
        try:
            may = await self._access.may_watch(call_cid)
        except Refusal:
            may = False
        if not may or call_cid not in self._waits or self._access.is_out(call_cid, asked_s):
            return
        at = self._parts.frames.cursor({*self._watcher.shards, self._watcher.shard_of(call_cid)})
        wants_snapshot = self._waits[call_cid]
        self._stop_waiting([call_cid])
        self._join([call_cid], asked_s)
        self._watching(at, recovered=None)
        if wants_snapshot:
            with suppress(ConnectionError, TimeoutError):  # it is gone: others see to that
                await self._snapshot(call_cid)

    def _wait_for(self, admitted: Admitted, asked: Message) -> None:
        for cid in tuple(admitted.waiting):
            if self._parts.waiting.enter(self, cid):
                self._waits[cid] = asked.snapshot
            else:
                admitted.waiting.remove(cid)
                admitted.turned_away.append(cid)

    def _stop_waiting(self, calls: Iterable[str]) -> None:
        known = [cid for cid in calls if self._waits.pop(cid, None) is not None]
        self._parts.waiting.leave(self, known)

    def _turn_away(self, admitted: Admitted) -> None:
        if admitted.turned_away:
            self.refuse(no_place(admitted.turned_away))

    def _leave(self, calls: Sequence[str]) -> None:
        self._parts.hub.unwatch(self._watcher, calls)
        self._watcher.unwatch(calls)
        self._watcher.join(self._parts.hub)

    def _bar(self, call_cid: str) -> None:
        self._end_watching(call_cid, shut_out([call_cid]))

    def _end_deleted(self, call_cid: str) -> None:
        self._end_watching(call_cid, deleted([call_cid]))

    def _end_watching(self, call_cid: str, why: Refusal) -> None:
        self._leave([call_cid])
        text = messages.error(why, self._watcher.style)
        self._watcher.send(text)  # behind its events
        self._watcher.flush()

    def _set_aside(self, call_cid: str) -> None:
        self._parts.hub.unwatch(self._watcher, [call_cid])

    def ping(self) -> None:
        """Show that the connection lives, and where it stands."""
        watcher = self._watcher
        watcher.ping()
        # While history is read, where it stands is not where the tail stands.
        at = None if watcher.is_holding else self._parts.frames.cursor(watcher.shards)
        text = None if at is None else cursors.encode(at)
        watcher.say(messages.ping(text, watcher.style))
        watcher.join(self._parts.hub)

    def pong(self) -> None:
        self._watcher.say(messages.pong(self._watcher.style))

    def refuse(self, refusal: Refusal) -> None:
        """Say that a message was refused; what is watched already stays so."""
        self._watcher.say(messages.error(refusal, self._watcher.style))

    def end(self, code: int, reason: str) -> None:
        self._watcher.end(code, reason)

    def close(self) -> None:
        if self.expiry is not None:
            self.expiry.cancel()
        self._stop_waiting(tuple(self._waits))
        self._parts.hub.leave(self._watcher)
        self._parts.connections.leave(self._watcher)

    def _join(self, calls: Sequence[str], asked_s: float) -> None:
        if out := [cid for cid in calls if self._access.is_out(cid, asked_s)]:
            raise shut_out(out)
        self._watcher.watch(calls)
        self._watcher.join(self._parts.hub)

    async def _tail_at(self, since: Cursor, shards: Iterable[int]) -> None:
        """Wait until our tail is not behind a cursor, which another process may have given."""
        deadline = asyncio.get_running_loop().time() + _TAIL_PATIENCE_S
        wanted, frames = frozenset(shards), self._parts.frames
        is_checked = False
        while not frames.stands(wanted) or (ahead := frames.ahead(since, wanted)):
            if asyncio.get_running_loop().time() > deadline:
                raise EngineUnavailable("the streams have not been read so far")
            if frames.stands(wanted) and not is_checked:
                since, is_checked = await replay.still_there(self._parts.engine, ahead), True
            else:
                await asyncio.sleep(_TAIL_POLL_S)

    async def _resume(
        self, asked: Message, calls: Sequence[str], since: Cursor | None, upto: Cursor
    ) -> None:
        limit = self._parts.options.max_replay_events
        plan = await replay.plan(self._parts.engine, since, upto, limit)
        at = {
            shard: plan.reached[shard][0] if shard in plan.reached else upto[shard]
            for shard in upto
        }
        self._made_here = frozenset(self._watcher.made_here)  # as long as this lasts
        self._watching(at, recovered=not plan.lost, lost=self._watcher.calls_in(plan.lost))
        await self._snapshots(asked, calls)
        named = [cid for cid in calls if self._access.needs_to_be_named(cid)]
        found = await self._parts.calls.deletions(self.app, named) if plan.reached else ()
        self._begins = dict(zip(named, found, strict=False))
        for shard, (after, end) in plan.reached.items():
            try:
                await self._replay(shard, after, end, at)
            except ReplayBroken:
                at[shard] = end
                text = cursors.encode(at)
                self._watcher.say(
                    messages.gap(self._watcher.calls_in({shard}), text, self._watcher.style)
                )

    async def _replay(
        self, shard: int, after: CursorPlace, upto: CursorPlace, at: dict[int, CursorPlace]
    ) -> None:
        watcher = self._watcher
        async for page in replay.pages(self._parts.engine, shard, after, upto):
            for past in page:
                at[shard] = CursorPlace(after.mark, past.number, past.id)
                if self._concerns(past):
                    text = cursors.encode(at)
                    watcher.say(messages.event(text, past.body, watcher.style))
            await watcher.drained()
        at[shard] = upto

    def _concerns(self, past: PastEntry) -> bool:
        watcher, meta = self._watcher, past.meta
        if past.id <= self._begins.get(meta.call_cid or "", NOTHING):
            return False  # of a call that had this name before
        if meta.call_cid in self._made_here and meta.source != MADE_HERE:
            return False  # of Stream's call of that name, which has not let him in
        is_ours = meta.app == watcher.app and meta.call_cid in watcher.calls
        return is_ours and (watcher.wants is None or watcher.wants(meta.type))

    def _watching(
        self, cursor: Cursor, *, recovered: bool | None, lost: Sequence[str] = ()
    ) -> None:
        self._watcher.say(
            messages.watching(
                sorted(self._watcher.calls),
                cursors.encode(cursor),
                recovered=recovered,
                lost=lost,
                ping_ms=int(self._parts.options.ping_interval_s * 1000),
                style=self._watcher.style,
                waiting=sorted(self._waits),
            )
        )

    async def _snapshots(self, asked: Message, calls: Sequence[str]) -> None:
        if asked.snapshot:
            for cid in calls:
                await self._snapshot(cid)

    async def _snapshot(self, cid: str) -> None:
        state = await self._parts.calls.get(self.app, cid)
        if await self._still_watches(cid):
            self._watcher.say(messages.snapshot(cid, state, self._watcher.style))
            await self._watcher.drained()

    async def _still_watches(self, cid: str) -> bool:
        """Tell whether no event has shut the user out, while others' states were told."""
        is_named, user_id = True, self.user_id
        if user_id is not None and self._watcher.is_aside(cid):
            is_named = await self._parts.calls.names(self.app, cid, user_id)
        return is_named and cid in self._watcher.calls
