"""The leases of one worker: joining, acquiring, renewing, losing.

A lease is certain for most of its time, counted from when its renewal was asked for. One that
is lost takes everything of its shard with it; then the worker asks for it again like anybody.
A worker asks for every shard, but for its own share (`sharing`) first; what it holds of another's
share it gives up, once nothing of it is under way: it takes nothing more, settles, and releases.
A group that has vanished is created anew only after somebody found out why it is gone.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from gateway.clock import now_ms
from gateway.delivery.claim import Claim, Lease
from gateway.delivery.triage import Triage
from gateway.logs import log
from gateway.store import keys
from gateway.store.scripts import ScriptCall
from gateway.store.taking.consumer_group import Acquired, HeldElsewhere, Standing, Start
from gateway.store.taking.doorbell import BellWaiter, Doorbell
from gateway.store.taking.holders import Holder

_logger = logging.getLogger(__name__)
CERTAIN = 0.95  # for this part of its time a lease is certain
ASK_AGAIN_S = 0.5
HAND_OVER_S = 0.25  # how often to ask for what is ours and held elsewhere


class Step(NamedTuple):
    """One call of a round, under `lease`; `done` takes its answer."""

    claim: Claim
    lease: Lease | None
    call: ScriptCall[Any]
    done: Callable[[Any], None]
    reads: bool = False  # an answer that gets lost may have handed us entries


class Leases:
    """On all shards. `start` None: never create a group, only serve those that exist."""

    def __init__(
        self,
        name: str,
        triage: Triage,
        claims: Sequence[Claim],
        *,
        doorbell: Doorbell,
        waiter: BellWaiter,
        holder: Holder,
        start: Start | None,
        ttl_s: float,
    ) -> None:
        self._name = name
        self._triage = triage
        self._doorbell = doorbell
        self._waiter = waiter
        self._holder = holder
        self._start = start
        self._ttl_s = ttl_s
        self.claims = claims
        self.vanished = False  # a group is gone: find out why before joining again
        self._share = frozenset(range(keys.SHARDS))

    def steps(self, claim: Claim, now: float) -> Iterator[Step]:
        """Say what the lease of `claim` needs now (monotonic seconds)."""
        if claim.lease is None:
            yield from self._steps_to_get(claim, now)
        elif self.is_done_with(claim):
            release = claim.group.release(claim.lease.token)
            yield Step(claim, claim.lease, release, partial(self._released, claim, claim.lease))
        elif claim.lease.unanswered:
            acquire = claim.group.acquire(self._holder, int(self._ttl_s * 1000))
            done = partial(self._confirmed, claim, claim.lease, now)
            yield Step(claim, claim.lease, acquire, done)
        elif now >= claim.renew_at:
            call = claim.group.renew(claim.lease.token, int(self._ttl_s * 1000))
            yield Step(claim, claim.lease, call, partial(self._renewed, claim, claim.lease, now))

    def _steps_to_get(self, claim: Claim, now: float) -> Iterator[Step]:
        if self.must_join(claim) and self._start is not None:
            join = claim.group.join(self._start)
            yield Step(claim, None, join, partial(self._joined, claim))
        if now < claim.acquire_at or self.vanished:
            return
        acquire = claim.group.acquire(self._holder, int(self._ttl_s * 1000))
        yield Step(claim, None, acquire, partial(self._acquired, claim, now))

    def must_join(self, claim: Claim) -> bool:
        """Whether its group may not be there yet: it is made at once, whoever will serve it."""
        return not claim.joined and self._start is not None and not self.vanished

    def share_out(self, shards: frozenset[int]) -> None:
        """Know which shards are this worker's; the others are for others, if they come."""
        now = time.monotonic()
        for claim in self.claims:
            claim.due_at = 0.0
            if claim.lease is None and claim.shard in shards - self._share:
                claim.acquire_at = now
            elif claim.lease is None and claim.shard in self._share - shards:
                claim.acquire_at = now + self._ttl_s / 2  # whose it is comes first
        self._share = shards

    def gives_up(self, claim: Claim) -> bool:
        """Whether what is held here is somebody else's, so that nothing more is taken."""
        return claim.lease is not None and claim.shard not in self._share

    def is_done_with(self, claim: Claim) -> bool:
        """Whether it is given up and nothing of it is under way."""
        lease = claim.lease
        is_certain = not (lease and lease.unanswered)
        return self.gives_up(claim) and is_certain and not claim.is_under_way

    def _released(self, claim: Claim, lease: Lease, _: int) -> None:
        self.lose(claim, lease)
        claim.acquire_at = time.monotonic() + self._ttl_s / 2
        self._triage.standing_changed()

    def lose(self, claim: Claim, lease: Lease | None) -> None:
        """Drop all that was read under `lease`, unless that is past already."""
        if lease is None or claim.lease is not lease:
            return
        claim.lose()
        self._doorbell.forget(self._waiter, claim.shard)
        self._triage.lost(lease)

    def group_vanished(self, claim: Claim, lease: Lease | None) -> None:
        """Stop here until `join_again`."""
        self.lose(claim, lease)
        claim.joined = False
        claim.acquire_at = time.monotonic() + self._ttl_s / 3
        self.vanished = self._start is not None

    def join_again(self, start: Start | None) -> None:
        """Create the groups that have vanished; `start` None: not yet, ask again later."""
        now = time.monotonic()
        if start is not None:
            self._start = start
            self.vanished = False
        for claim in self.claims:
            claim.acquire_at = now if start is not None else now + ASK_AGAIN_S
            claim.due_at = 0.0

    def _joined(self, claim: Claim, how: str) -> None:
        claim.joined = True
        if how != "there":
            level = logging.DEBUG if how == "new" else logging.INFO
            log(_logger, level, "group created", subscriber=self._name, shard=claim.shard, how=how)

    def _acquired(self, claim: Claim, asked_at: float, lease: Acquired | HeldElsewhere) -> None:
        if isinstance(lease, HeldElsewhere):
            patience_s = self._ttl_s / 3
            if claim.shard in self._share:
                patience_s = min(patience_s, HAND_OVER_S)
            claim.acquire_at = asked_at + min(lease.wait_s + 0.01, patience_s)
            return
        claim.acquired(lease, asked_at + self._ttl_s * CERTAIN, now_ms())

    def _confirmed(
        self, claim: Claim, lease: Lease, asked_at: float, answer: Acquired | HeldElsewhere
    ) -> None:
        """Go on under a new token, so that calls left unanswered can do nothing any more.

        If anybody else, or an acquisition whose answer was lost, came between, what is in
        memory may be out of date: start anew.
        """
        if isinstance(answer, HeldElsewhere) or answer.token_before != lease.token:
            self.lose(claim, lease)
            return
        lease.token = answer.token
        lease.until = asked_at + self._ttl_s * CERTAIN
        lease.unanswered = False
        self._triage.renewed(lease)

    def _renewed(self, claim: Claim, lease: Lease, asked_at: float, standing: Standing) -> None:
        lease.until = asked_at + self._ttl_s * CERTAIN
        claim.renew_at = asked_at + self._ttl_s / 3
        claim.standing = standing
        claim.next_due_ms = standing.next_due_ms
        if standing.unread:  # the bell may have missed it: after a failover ids may go back
            claim.look = True
        self._triage.renewed(lease)
        self._triage.standing_changed()
