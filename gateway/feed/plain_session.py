"""One client of the plain feed, on whichever transport: what it watches, and its way to live.

The order of a beginning is what makes it gap-free: access is checked, the calls are joined in
the hub, and in the same step it is written down where the tail stands. From there on live events
wait in the watcher. Then comes what is asked of history, then what waited, then what is live.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.calls.access import Access
from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity
from gateway.errors import StreamUnavailable
from gateway.event import Meta
from gateway.feed import cursors, plain_messages, replay
from gateway.feed.connections import Connections
from gateway.feed.cursors import Cursor, Place
from gateway.feed.doorway import Doorway
from gateway.feed.hub import Hub
from gateway.feed.leaving import Leaving
from gateway.feed.names import Names
from gateway.feed.plain_frames import PlainFrames
from gateway.feed.plain_requests import Message, read_types
from gateway.feed.plain_watcher import PlainWatcher
from gateway.feed.refusals import BadRequest, Refusal
from gateway.feed.replay import Broken
from gateway.metrics import Metrics
from gateway.options import FeedOptions
from gateway.stream.call_store import CallStore
from gateway.stream.connection import Engine
from gateway.stream.tail import Tail

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
    calls: CallStore
    options: FeedOptions
    connections: Connections
    tail: Tail
    doorway: Doorway
    names: Names
    metrics: Metrics
    leaving: Leaving
    replays: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_REPLAYS_AT_ONCE))


class PlainSession:
    """Made once who asks is known. Ends when its transport does: `close` then."""

    def __init__(self, parts: PlainParts, identity: Identity, watcher: PlainWatcher) -> None:
        self._parts = parts
        self._identity = identity
        self._watcher = watcher
        watcher.on_barred, watcher.on_aside = self._bar, self._set_aside
        self.expiry: asyncio.TimerHandle | None = None  # of the token: nobody outlives it

    async def admit(self, asked: Message) -> None:
        """See whether all of it may be watched. Raises `Refusal`, `StreamUnavailable`."""
        limit = self._parts.options.max_watched_calls
        if len(self._watcher.calls.union(asked.calls)) > limit:
            raise BadRequest(f"one connection can watch {limit} calls")
        for cid in asked.calls:
            try:
                await self._parts.access.check(self._identity, cid)
            except StreamError as error:
                raise Refusal(error.code, error.status, error.message, [cid]) from error

    async def begin(self, asked: Message) -> None:
        """Watch what was admitted, tell what was missed, and go live. Returns when live.

        Raises `StreamUnavailable`, `StreamRefused`, `ConnectionError`.
        """
        watcher = self._watcher
        watcher.wants = read_types(asked)
        since = cursors.decode(asked.since) if asked.since is not None else None
        await self._tail_at(since or {}, map(watcher.shard_of, asked.calls))
        watcher.hold()
        self._join(asked.calls)
        upto = self._parts.frames.cursor(watcher.shards)
        if asked.since is None:
            self._watching(upto, recovered=None)
            await self._snapshots(asked)
        else:
            async with self._parts.replays:
                await self._resume(asked, since, upto)
        watcher.release()
        watcher.join(self._parts.hub)

    async def watch(self, asked: Message) -> None:
        """Watch more. Raises `Refusal`, `StreamUnavailable` or `ConnectionError`."""
        if asked.since is not None:
            raise BadRequest("since belongs in the first watch of a connection")
        if asked.types is not None:
            raise BadRequest("types belong in the first watch of a connection")
        await self.admit(asked)
        await self._tail_at({}, map(self._watcher.shard_of, asked.calls))
        self._join(asked.calls)
        self._watching(self._parts.frames.cursor(self._watcher.shards), recovered=None)
        await self._snapshots(asked)

    def unwatch(self, asked: Message) -> None:
        self._leave(asked.calls)
        self._watching(self._parts.frames.cursor(self._watcher.shards), recovered=None)

    def _leave(self, calls: Sequence[str]) -> None:
        self._parts.hub.unwatch(self._watcher, calls)
        self._watcher.unwatch(calls)
        self._watcher.join(self._parts.hub)

    def _bar(self, call_cid: str) -> None:
        self._leave([call_cid])
        refusal = Refusal(17, 403, "you may not watch this call any more", [call_cid])
        self._watcher.send(plain_messages.error(refusal, self._watcher.style))  # behind its events
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
        watcher.say(plain_messages.ping(text, watcher.style))
        watcher.join(self._parts.hub)

    def pong(self) -> None:
        self._watcher.say(plain_messages.pong(self._watcher.style))

    def refuse(self, refusal: Refusal) -> None:
        """Say that a message was refused; what is watched already stays so."""
        self._watcher.say(plain_messages.error(refusal, self._watcher.style))

    def end(self, code: int, reason: str) -> None:
        self._watcher.end(code, reason)

    def close(self) -> None:
        if self.expiry is not None:
            self.expiry.cancel()
        self._parts.hub.leave(self._watcher)
        self._parts.connections.leave(self._watcher)

    def _join(self, calls: Sequence[str]) -> None:
        self._watcher.watch(calls)
        self._watcher.join(self._parts.hub)

    async def _tail_at(self, since: Cursor, shards: Iterable[int]) -> None:
        """Wait until our tail is not behind a cursor, which another process may have given."""
        deadline = asyncio.get_running_loop().time() + _TAIL_PATIENCE_S
        wanted, frames = frozenset(shards), self._parts.frames
        is_checked = False
        while not frames.stands(wanted) or (ahead := frames.ahead(since, wanted)):
            if asyncio.get_running_loop().time() > deadline:
                raise StreamUnavailable("the streams have not been read so far")
            if frames.stands(wanted) and not is_checked:
                since, is_checked = await replay.still_there(self._parts.engine, ahead), True
            else:
                await asyncio.sleep(_TAIL_POLL_S)

    async def _resume(self, asked: Message, since: Cursor | None, upto: Cursor) -> None:
        limit = self._parts.options.max_replay_events
        plan = await replay.plan(self._parts.engine, since, upto, limit)
        at = {
            shard: plan.reached[shard][0] if shard in plan.reached else upto[shard]
            for shard in upto
        }
        self._watching(at, recovered=not plan.lost, lost=self._watcher.calls_in(plan.lost))
        await self._snapshots(asked)
        for shard, (after, end) in plan.reached.items():
            try:
                await self._replay(shard, after, end, at)
            except Broken:
                at[shard] = end
                text = cursors.encode(at)
                self._watcher.say(
                    plain_messages.gap(self._watcher.calls_in({shard}), text, self._watcher.style)
                )

    async def _replay(self, shard: int, after: Place, upto: Place, at: dict[int, Place]) -> None:
        watcher = self._watcher
        async for page in replay.pages(self._parts.engine, shard, after, upto):
            for past in page:
                at[shard] = Place(after.mark, past.number, past.id)
                if self._concerns(past.meta):
                    text = cursors.encode(at)
                    watcher.say(plain_messages.event(text, past.body, watcher.style))
            await watcher.drained()
        at[shard] = upto

    def _concerns(self, meta: Meta) -> bool:
        watcher = self._watcher
        is_ours = meta.app == watcher.app and meta.call_cid in watcher.calls
        return is_ours and (watcher.wants is None or watcher.wants(meta.type))

    def _watching(
        self, cursor: Cursor, *, recovered: bool | None, lost: Sequence[str] = ()
    ) -> None:
        self._watcher.say(
            plain_messages.watching(
                sorted(self._watcher.calls),
                cursors.encode(cursor),
                recovered=recovered,
                lost=lost,
                ping_ms=int(self._parts.options.ping_interval_s * 1000),
                style=self._watcher.style,
            )
        )

    async def _snapshots(self, asked: Message) -> None:
        if not asked.snapshot:
            return
        for cid in asked.calls:
            state = await self._parts.calls.get(self._watcher.app, cid)
            self._watcher.say(plain_messages.snapshot(cid, state, self._watcher.style))
            await self._watcher.drained()
