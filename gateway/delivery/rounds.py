"""Everything a worker says to Redis, in rounds: one round trip for all of its shards.

A round visits the shards that have something to say. It renews leases, settles what has been
decided, fetches what is due again and takes what is new. While it is under way outcomes gather
for the next one, so the busier a worker is, the more each round trip carries. If a round fails
nothing is forgotten: the same batches are settled again, and what a lost answer may have handed
us is read from the pending list before anything newer. So is, after any failure of a server, what
its successor may not know to be settled.
"""

import logging
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from gateway.clock import now_ms
from gateway.delivery.claim import WINDOW_BYTES, Claim, Lease
from gateway.delivery.leases import Leases, Step
from gateway.delivery.read_ahead import Grant, ReadAhead
from gateway.delivery.triage import Triage
from gateway.engine.engine import Engine
from gateway.errors import EngineUnanswered, EngineUnavailable, Fenced, GatewayError
from gateway.logs import log
from gateway.store.entries import parse_id
from gateway.store.scripts import call_together, group_is_gone
from gateway.store.taking.consumer_group import Reclaimed, Taken
from gateway.store.taking.doorbell import BellWaiter, Doorbell
from gateway.store.taking.parked import Parked, take_due, take_farthest

_logger = logging.getLogger(__name__)
RECLAIM = 32  # entries read again in one step
PARKED = 64  # parked deliveries taken in one step
# Taken in one step to be buried: that leaves the window at once, so a full one does not stop it.
_BURIED = Grant(64, WINDOW_BYTES)


class Rounds:
    """Of one worker; what it reads goes to `triage`. `hide_s`: see `parked`."""

    def __init__(
        self,
        engine: Engine,
        name: str,
        leases: Leases,
        triage: Triage,
        *,
        doorbell: Doorbell,
        waiter: BellWaiter,
        hide_s: float,
        workers: int,
    ) -> None:
        self._engine = engine
        self._name = name
        self._leases = leases
        self._triage = triage
        self._doorbell = doorbell
        self._waiter = waiter
        self._hide_s = hide_s
        self._interruptions = engine.interruptions
        self._ahead = ReadAhead(leases.claims, workers)
        self._grants: dict[int, Grant] = {}  # of this round, by shard
        self._late_budget = 0
        self._turn = 0  # whose parked deliveries come first

    async def round(self) -> None:
        """Make one round trip, if there is anything to say.

        Raises `EngineUnavailable` or `EngineRefused`; then come again later, nothing is lost.
        """
        now = time.monotonic()
        self._late_budget = self._triage.free_late_slots
        self._grants = self._ahead.grants(self._triage.ready) if self._triage.open else {}
        claims = self._leases.claims
        if self._interruptions != self._engine.interruptions:
            self._interruptions = self._engine.interruptions
            for claim in claims:
                claim.read_again()
        visited = self._visited(now)
        steps = [step for claim in visited for step in self._steps(claim, now)]
        try:
            results = await call_together(self._engine, [step.call for step in steps])
        except EngineUnavailable:
            for step in steps:
                if step.lease is not None:
                    step.lease.unanswered = True
                _unanswered(step)
            for claim in visited:
                claim.due_at = 0.0
            raise
        problem = None
        for step, result in zip(steps, results, strict=True):
            problem = self._answered(step, result) or problem
        for claim in visited:
            claim.due_at = self._due_at(claim)
        if problem is not None:
            raise problem

    def next_deadline(self, now: float) -> float:
        """When to make the next round if nothing happens before, in monotonic seconds."""
        claims = self._leases.claims
        at = min([claim.due_at for claim in claims])
        if not self._triage.open or at <= now:
            return at
        reads, late = self._ahead.wanted(self._triage.ready) > 0, self._has_late_slots
        for claim in claims:
            if (not claim.look and claim.next_due_ms < 0) or self._leases.gives_up(claim):
                continue
            if reads and claim.look and claim.can_read():
                return now
            if late and claim.next_due_ms >= 0:
                at = min(at, now + max(0.0, (claim.next_due_ms - now_ms()) / 1000))
        return at

    @property
    def _has_late_slots(self) -> bool:
        return self._triage.free_late_slots > 0

    def _visited(self, now: float) -> list[Claim]:
        """Return the claims that have something to say, in turn."""
        claims, grants, wall_ms = self._leases.claims, self._grants, now_ms()
        latest_ms = wall_ms if self._triage.open and self._late_budget > 0 else -1
        self._turn = (self._turn + 1) % len(claims)
        return [
            claim
            for claim in (*claims[self._turn :], *claims[: self._turn])
            if claim.due_at <= now
            or claim.has_outcomes
            or claim.sent is not None
            or claim.shard in grants
            or 0 <= claim.next_due_ms <= latest_ms
        ]

    def _due_at(self, claim: Claim) -> float:
        """When to visit `claim`, beside for what is read, decided or parked; 0: at once."""
        if claim.lease is None:
            return 0.0 if self._leases.must_join(claim) else claim.acquire_at
        if claim.lease.unanswered or self._leases.is_done_with(claim):
            return 0.0
        if not self._leases.gives_up(claim) and (claim.drop_parked_bytes > 0 or claim.dropping):
            return 0.0
        return claim.renew_at

    async def release(self) -> None:
        """Give all leases back. Raises `EngineUnavailable`; they expire by themselves."""
        held = [(claim, claim.lease) for claim in self._leases.claims if claim.lease is not None]
        for claim, lease in held:
            self._leases.lose(claim, lease)
        await call_together(
            self._engine, [claim.group.release(lease.token) for claim, lease in held]
        )

    # What to say.

    def _steps(self, claim: Claim, now: float) -> Iterator[Step]:
        yield from self._leases.steps(claim, now)
        lease = claim.lease
        if lease is None or lease.unanswered:
            return
        batch = claim.to_send()
        if batch is not None:
            settle = claim.group.settle(lease.token, batch)
            yield Step(claim, lease, settle, partial(self._settled, claim))
        if self._leases.gives_up(claim):
            return
        yield from self._steps_to_parked(claim, lease)
        yield from self._steps_to_read(claim, lease)

    def _steps_to_parked(self, claim: Claim, lease: Lease) -> Iterator[Step]:
        wall_ms = now_ms()
        hidden_until_ms = wall_ms + int(self._hide_s * 1000)
        if claim.drop_parked_bytes > 0:
            farthest = take_farthest(
                claim.shard,
                self._name,
                lease.token,
                hidden_until_ms=hidden_until_ms,
                limit=PARKED,
            )
            yield Step(claim, lease, farthest, partial(self._triage.receive_farthest, claim))
        limit = min(self._late_budget, PARKED)
        if self._triage.open and limit > 0 and 0 <= claim.next_due_ms <= wall_ms:
            self._late_budget -= limit
            due = take_due(
                claim.shard,
                self._name,
                lease.token,
                now_ms=wall_ms,
                hidden_until_ms=hidden_until_ms,
                limit=limit,
            )
            yield Step(claim, lease, due, partial(self._due, claim))

    def _steps_to_read(self, claim: Claim, lease: Lease) -> Iterator[Step]:
        grant = _BURIED if claim.dropping else self._grants.get(claim.shard)
        if grant is None:
            return
        if claim.cursor is not None:
            reclaim = claim.group.reclaim(lease.token, claim.cursor, RECLAIM)
            yield Step(claim, lease, reclaim, partial(self._reclaimed, claim), reads=True)
        else:
            take = claim.group.take(lease.token, grant.entries, grant.max_bytes)
            yield Step(claim, lease, take, partial(self._taken, claim), reads=True)

    # What the answers mean.

    def _answered(self, step: Step, result: Any) -> GatewayError | None:
        if isinstance(result, Fenced):
            self._leases.lose(step.claim, step.lease)
        elif group_is_gone(result):
            self._leases.group_vanished(step.claim, step.lease)
        elif isinstance(result, GatewayError):
            if isinstance(result, EngineUnanswered) and step.lease is not None:
                step.lease.unanswered = True  # one server of several is away
            _unanswered(step)
            return result
        elif step.claim.lease is step.lease:
            step.done(result)
        return None

    def _settled(self, claim: Claim, counts: list[int]) -> None:
        self._triage.count_settled(counts)
        self._triage.released(claim.settled())

    def _due(self, claim: Claim, due: Parked) -> None:
        claim.next_due_ms = due.next_due_ms
        self._triage.receive_due(claim, due)

    def _reclaimed(self, claim: Claim, reclaimed: Reclaimed) -> None:
        if reclaimed.vanished:
            log(
                _logger,
                logging.ERROR,
                "unsettled entries are gone from the stream",
                subscriber=self._name,
                shard=claim.shard,
                entries=reclaimed.vanished,
            )
        fresh = [entry for entry in reclaimed.entries if claim.hold(entry)]
        # Of our own, what was taken before had been settled, and that was lost.
        again = [each for each in fresh if claim.took_over or parse_id(each.id) <= claim.taken]
        if again:
            self._triage.repeating(len(again))
        claim.cursor = reclaimed.cursor
        if reclaimed.cursor == b"0-0":
            claim.cursor, claim.took_over = None, False
        self._triage.receive(claim, fresh)

    def _taken(self, claim: Claim, taken: Taken) -> None:
        if taken.entries:
            fresh = [each for each in taken.entries if claim.hold(each)]
            if parse_id(taken.entries[0].id) <= claim.furthest:  # Redis has lost how far we were
                self._triage.repeating(sum(parse_id(one.id) <= claim.furthest for one in fresh))
            claim.taken = parse_id(taken.entries[-1].id)
            claim.furthest = max(claim.furthest, claim.taken)
            self._ahead.read(fresh)
            self._triage.receive(claim, fresh)
        claim.look = claim.behind = taken.more
        if not taken.more:
            claim.drop_before_ms = claim.drop_unread_bytes = 0  # nothing is unread
            self._doorbell.wait(self._waiter, claim.shard, claim.taken)


def _unanswered(step: Step) -> None:
    """Have what a lost answer may have handed us read again, before anything newer."""
    if step.reads and step.claim.lease is step.lease:
        step.claim.cursor = step.claim.cursor or b"0-0"
