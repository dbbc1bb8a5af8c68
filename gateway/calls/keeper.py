"""The keeper: reads every event for what it says about a call, and keeps the calls' states.

One process at a time keeps a shard, under a lease; where it has got to lies beside the lease, so
the next one goes on there. Taking an event in twice changes nothing.

It takes a bounded share of the loop that it runs on, which takes webhooks too: it looks only at
shards that have something new, works in small pieces, and rests in proportion. What it cannot do in
that time piles up, and in such a flood the comings and goings of participants, most of all events,
are let go unread: the next event of a call that brings its `call` sets the state right. Who is a
member is never let go.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.calls.state import CROWD_MOVES, SAYS_NOTHING
from gateway.calls.state_batch import UNCHANGED, Call, Outcome, ToldEvent, outcome, sort_out
from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable, Fenced, GatewayError
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import MIB
from gateway.store import keys
from gateway.store.entries import parse_id
from gateway.store.format import holds_our_format
from gateway.store.scripts import ScriptCall, call_together
from gateway.store.states.call_documents import CallDocument
from gateway.store.states.call_store import CallStore, drop_call, put_call
from gateway.store.states.progress import KeeperPlace, KeeperRead, KeptShard
from gateway.store.taking.consumer_group import HeldElsewhere
from gateway.store.taking.doorbell import BellWaiter, Doorbell
from gateway.store.taking.holders import Holder
from gateway.tasks import end

_logger = logging.getLogger(__name__)
BATCH, BATCH_BYTES = 128, 1 * MIB  # of one shard in one round; more than that is a flood
TTL_S = 10.0
AGAIN_S = 0.5
_REST_S = 0.1  # at least, between rounds: what comes meanwhile is taken together
_LONGEST_REST_S = 1.0  # a state is never much older than this
_SHARE = 0.1  # of the time, at most; what others do meanwhile counts as ours, so we give way
_CALLS_AT_ONCE = 4  # whose states are computed between two turns of the loop


class _Shard:
    """Where we stand on one shard. `token` 0: the lease is not ours."""

    def __init__(self, shard: int) -> None:
        self.number = shard
        self.calls = KeptShard(shard)
        self.token = 0
        self.hold_at = 0.0  # when to ask for the lease; monotonic seconds
        self.keep_at = 0.0  # when to prolong it, and to write down where we stand
        self.done: KeeperPlace | None = None  # up to here all is kept
        self.is_dry = False  # nothing was left the last time
        self.is_flooded = False


class Keeper:
    """Keeps the states of all calls until cancelled. `holder`: this process, in leases."""

    def __init__(
        self,
        engine: Engine,
        store: CallStore,
        metrics: Metrics,
        *,
        holder: Holder,
        ttl_s: float = TTL_S,
    ) -> None:
        self._engine, self._store = engine, store
        self._events = metrics.call_events
        self._holder, self._ttl_s = holder, ttl_s
        self._shards = [_Shard(number) for number in range(keys.SHARDS)]
        self._bell = asyncio.Event()
        self._waiter = BellWaiter(self._bell)
        self._news = frozenset(range(keys.SHARDS))  # where there may be any
        self._doorbell = Doorbell(engine)
        self._seldom = Seldom()

    async def run(self) -> None:
        listening = asyncio.create_task(self._doorbell.run(), name="keeper-doorbell")
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._round()
                except GatewayError as error:
                    self._complain(error)
                    self._lose_all()
                await self._rest(time.monotonic() - began)
        finally:
            await end((listening,))

    async def release(self) -> None:
        """Give the leases back, once `run` has ended. Raises `EngineUnavailable`."""
        held = [one for one in self._shards if one.token]
        await call_together(self._engine, [self._keep(one, count=0) for one in held])
        await call_together(self._engine, [one.calls.release(one.token) for one in held])

    # ---- one round

    async def _round(self) -> None:
        """Take in what is new on the shards that are ours, and ask for the others."""
        now = time.monotonic()
        await self._hold([one for one in self._shards if not one.token and now >= one.hold_at])
        held = [one for one in self._shards if one.token and self._is_due(one, now)]
        found = await call_together(self._engine, [self._keep(one) for one in held])
        for one, read in zip(held, found, strict=True):
            try:
                if isinstance(read, GatewayError):
                    raise read
                await self._take_in(one, read)
            except Fenced:
                one.token = 0
            except GatewayError as error:
                self._complain(error)
                one.token, one.hold_at = 0, time.monotonic() + AGAIN_S

    def _is_due(self, one: _Shard, now: float) -> bool:
        had_more = one.is_flooded or not one.is_dry
        return had_more or one.number in self._news or now >= one.keep_at

    async def _hold(self, wanted: list[_Shard]) -> None:
        # Whoever publishes writes the format down: before that there is nothing to keep.
        if not wanted or not await holds_our_format(self._engine):
            return
        ttl_ms = int(self._ttl_s * 1000)
        leases = await call_together(
            self._engine, [one.calls.hold(self._holder, ttl_ms) for one in wanted]
        )
        for one, lease in zip(wanted, leases, strict=True):
            if isinstance(lease, GatewayError):
                raise lease
            if isinstance(lease, HeldElsewhere):
                one.hold_at = time.monotonic() + min(lease.wait_s + 0.01, self._ttl_s / 3)
            else:
                one.token, one.done, one.is_dry = lease, None, False

    def _keep(self, one: _Shard, *, count: int = BATCH) -> ScriptCall[KeeperRead]:
        one.keep_at = time.monotonic() + self._ttl_s / 3
        return one.calls.keep(
            one.token,
            int(self._ttl_s * 1000),
            one.done,
            count=count,
            max_bytes=BATCH_BYTES,
            passing_over=SAYS_NOTHING,
            letting_go=CROWD_MOVES if one.is_flooded else (),
        )

    async def _take_in(self, one: _Shard, read: KeeperRead) -> None:
        """Bring the states of a batch's calls forward; then all up to its end is kept."""
        told = sort_out(read.entries)
        todo = list(told)
        while todo:  # again, where somebody else wrote between our reading and our writing
            todo = await self._advance(one.number, todo, told)
        if read.entries:
            self._events.add("taken_in", by=sum(map(len, told.values())))
        if read.let_go:
            self._events.add("let_go", by=read.let_go)
        one.done = read.place
        one.is_dry = not read.more
        # Until less comes in one round than we could have taken in.
        one.is_flooded = read.more or read.let_go + len(read.entries) > BATCH

    async def _advance(
        self, shard: int, todo: list[Call], told: Mapping[Call, list[ToldEvent]]
    ) -> list[Call]:
        """Write the next states of `todo`; return those that have to be read again."""
        read = await self._store.documents_at(shard, [keys.call_key(app, cid) for app, cid in todo])
        outcomes = {}
        for at in range(0, len(todo), _CALLS_AT_ONCE):
            for each in range(at, min(at + _CALLS_AT_ONCE, len(todo))):
                outcomes[todo[each]] = self._outcome(todo[each], read[each], told[todo[each]])
            await asyncio.sleep(0)
        for (app, cid), what in outcomes.items():
            if what.deleted is not None:
                await self._store.note_deleted(app, cid, what.deleted)
        await self._write([drop_call(*each) for each, what in outcomes.items() if what.forget])
        changed = {each: what.draft for each, what in outcomes.items() if what.draft is not None}
        written = await self._write([put_call(draft) for draft in changed.values()])
        return [each for each, done in zip(changed, written, strict=True) if not done]

    @staticmethod
    def _outcome(one: Call, read: CallDocument | None, told: Sequence[ToldEvent]) -> Outcome:
        try:
            return outcome(*one, read, told)
        except Exception:  # a fault of ours must not cost all other calls their states
            ids = [event.meta.key for event in told]
            _logger.exception("events cannot be taken in: %s", ids[:10])
            return UNCHANGED

    async def _write(self, calls: Sequence[ScriptCall[Any]]) -> list[Any]:
        results = await call_together(self._engine, calls)
        for result in results:
            if isinstance(result, GatewayError):
                raise result
        return results

    # ---- between rounds

    async def _rest(self, busy_s: float) -> None:
        """Return when there may be something to do, and not before we have rested."""
        await asyncio.sleep(min(max(_REST_S, busy_s / _SHARE), _LONGEST_REST_S))
        held = [one for one in self._shards if one.token]
        if not all(one.is_dry for one in held):
            self._news = frozenset(range(keys.SHARDS))
            return
        for one in held:
            place = parse_id(one.done.id if one.done else b"0-0")
            self._doorbell.wait(self._waiter, one.number, place)
        due = min(one.keep_at if one.token else one.hold_at for one in self._shards)
        wait_s = due - time.monotonic()
        alarm = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._bell.set)
        await self._bell.wait()
        alarm.cancel()
        self._bell.clear()
        self._news = frozenset(self._waiter.rung)
        self._waiter.rung.clear()
        for one in held:
            self._doorbell.forget(self._waiter, one.number)

    def _lose_all(self) -> None:
        for one in self._shards:
            one.token, one.hold_at = 0, time.monotonic() + AGAIN_S

    def _complain(self, error: GatewayError) -> None:
        waits = isinstance(error, EngineUnavailable)
        text = "call states wait for Redis" if waits else "call states cannot be kept"
        self._seldom.log("keep", _logger, text, reason=str(error))
