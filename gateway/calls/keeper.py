"""The keeper: reads every event once for what it says about a call, and keeps the calls' states.

It is one consumer group of ours beside the subscribers': by the same leases one process at a time
keeps a shard, and what it has read and not settled the next one finds. It has an account like a
subscriber's, which adds up, but is none: nothing of it is parked or buried, and no command knows
it. A group that is new, or was lost with Redis' memory, begins with what the history still holds.

While it is far behind, events are let go unread rather than kept from being trimmed: the next
event of a call that brings its `call` sets the state right.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.calls.keeping import Call, Told, outcome, sort_out
from gateway.errors import Fenced, GatewayError
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.options import MIB
from gateway.stream import keys
from gateway.stream.call_store import CallStore, drop_call, put_call
from gateway.stream.calls import ScriptCall, call, call_together, group_is_gone
from gateway.stream.connection import Engine
from gateway.stream.consumer_group import Entry, Group, HeldElsewhere
from gateway.stream.doorbell import NOTHING, Doorbell, Id, Waiter, parse
from gateway.stream.settling import Settling
from gateway.tasks import end

_logger = logging.getLogger(__name__)
BATCH, BATCH_BYTES = 256, 1 * MIB
MOST_BEHIND_BYTES = 64 * MIB  # of one shard; beyond it events are let go
TTL_S = 10.0
AGAIN_S = 0.5


class _Place:
    """Where we stand on one shard. `token` 0: the lease is not ours."""

    def __init__(self, shard: int) -> None:
        self.group = Group(shard, keys.CALL_KEEPER)
        self.shard = shard
        self.token = 0
        self.due_at = 0.0  # to acquire the lease, or to renew it; monotonic seconds
        self.cursor: bytes | None = None  # in what an earlier holder has left; None: nothing
        self.taken: Id = NOTHING
        self.look = False  # there may be something to take
        self.is_behind = False


class Keeper:
    """Keeps the states of all calls until cancelled. `holder` names this process in leases."""

    def __init__(
        self,
        engine: Engine,
        store: CallStore,
        metrics: Metrics,
        *,
        holder: str,
        ttl_s: float = TTL_S,
    ) -> None:
        self._engine, self._store, self._metrics = engine, store, metrics
        self._holder, self._ttl_s = holder, ttl_s
        self._bell = asyncio.Event()
        self._waiter = Waiter(self._bell)
        self._doorbell = Doorbell(engine)
        self._places = [_Place(shard) for shard in range(keys.SHARDS)]
        self._seldom = Seldom()

    async def run(self) -> None:
        listening = asyncio.create_task(self._doorbell.run())
        try:
            while True:
                await asyncio.gather(*(self._serve(place) for place in self._places))
                await self._wait()
        finally:
            await end((listening,))

    async def release(self) -> None:
        """Give the leases back, once `run` has ended. Raises `StreamUnavailable`."""
        held = [place for place in self._places if place.token]
        await call_together(self._engine, [each.group.release(each.token) for each in held])
        for place in held:
            place.token = 0

    async def _wait(self) -> None:
        """Return when a shard has something new, or a lease wants something."""
        if not any(place.look or place.cursor for place in self._places):
            wait_s = min(place.due_at for place in self._places) - time.monotonic()
            alarm = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._bell.set)
            await self._bell.wait()
            alarm.cancel()
        self._bell.clear()
        for shard in self._waiter.rung:
            self._places[shard].look = True
        self._waiter.rung.clear()

    async def _serve(self, place: _Place) -> None:
        """Do what one shard needs now. What fails is tried again, from what is unsettled on."""
        try:
            if time.monotonic() >= place.due_at:
                await self._hold(place)
            if place.token and place.cursor is not None:
                await self._reclaim(place)
            elif place.token and place.look:
                await self._take(place)
        except Fenced:
            self._lose(place)
        except GatewayError as error:
            if not group_is_gone(error):
                self._seldom.log("keep", _logger, "call states wait for Redis", reason=str(error))
            self._lose(place)
            place.due_at = time.monotonic() + AGAIN_S

    def _lose(self, place: _Place) -> None:
        self._doorbell.forget(self._waiter, place.shard)
        place.token, place.look, place.cursor = 0, False, None
        place.due_at = 0.0

    async def _hold(self, place: _Place) -> None:
        now, ttl_ms = time.monotonic(), int(self._ttl_s * 1000)
        place.due_at = now + self._ttl_s / 3
        if place.token:
            standing = await call(self._engine, place.group.renew(place.token, ttl_ms))
            self._measure(place, standing.unread_bytes)
            place.look = place.look or standing.unread > 0
            return
        await call(self._engine, place.group.join("earliest"))
        lease = await call(self._engine, place.group.acquire(self._holder, ttl_ms))
        if isinstance(lease, HeldElsewhere):
            place.due_at = now + min(lease.wait_s + 0.01, self._ttl_s / 3)
            return
        place.token, place.taken = lease.token, parse(lease.taken)
        place.cursor, place.look = b"0-0", True

    def _measure(self, place: _Place, unread_bytes: int) -> None:
        if unread_bytes > MOST_BEHIND_BYTES and not place.is_behind:
            log(_logger, logging.WARNING, "call states are far behind: events are let go unread",
                shard=place.shard, bytes=unread_bytes)  # fmt: skip
        place.is_behind = unread_bytes > MOST_BEHIND_BYTES // (2 if place.is_behind else 1)

    async def _reclaim(self, place: _Place) -> None:
        assert place.cursor is not None
        left = await call(self._engine, place.group.reclaim(place.token, place.cursor, BATCH))
        await self._take_in(place, left.entries)
        place.cursor = None if left.cursor == b"0-0" else left.cursor

    async def _take(self, place: _Place) -> None:
        taken = await call(self._engine, place.group.take(place.token, BATCH, BATCH_BYTES))
        if taken.entries:
            place.taken = parse(taken.entries[-1].id)
            await self._take_in(place, taken.entries)
        place.look = taken.more
        if not taken.more:
            self._doorbell.wait(self._waiter, place.shard, place.taken)

    async def _take_in(self, place: _Place, entries: list[Entry]) -> None:
        """Bring the states of a batch's calls forward, then settle the batch."""
        if not entries:
            return
        done = Settling(unmatched=[entry.id for entry in entries])
        if place.is_behind:
            self._metrics.call_events.add("let_go", by=len(entries))
        else:
            work = sort_out(entries)
            todo = list(work.told)
            while todo:  # again, where somebody else wrote between our reading and our writing
                todo = await self._advance(place, todo, work.told)
            done = Settling(
                delivered=[one.entry_id for told in work.told.values() for one in told],
                unmatched=work.rest,
            )
            self._metrics.call_events.add("taken_in", by=len(done.delivered))
        await call(self._engine, place.group.settle(place.token, done))

    async def _advance(
        self, place: _Place, todo: list[Call], told: Mapping[Call, list[Told]]
    ) -> list[Call]:
        """Write the next states of `todo`; return those that have to be read again."""
        read = await self._store.documents_at(
            place.shard, [keys.call_key(app, cid) for app, cid in todo]
        )
        outcomes = {
            one: outcome(*one, document, told[one])
            for one, document in zip(todo, read, strict=True)
        }
        await self._write([drop_call(*one) for one, each in outcomes.items() if each.forget])
        changed = {one: each.draft for one, each in outcomes.items() if each.draft is not None}
        written = await self._write([put_call(draft) for draft in changed.values()])
        return [one for one, done in zip(changed, written, strict=True) if not done]

    async def _write(self, calls: Sequence[ScriptCall[Any]]) -> list[Any]:
        results = await call_together(self._engine, calls)
        for result in results:
            if isinstance(result, GatewayError):
                raise result
        return results
