"""What an event that was read is for: to be attempted, settled as unmatched, or buried.

Matching is decided here and only once, when the subscriber's group reads the event. Where the
backlog is beyond its bound, what matches is buried as `backlog_full` instead of attempted.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from gateway.clock import now_ms
from gateway.delivery.backlog import excess, too_old_before_ms
from gateway.delivery.claim import Claim, Delivery, Lease
from gateway.delivery.lanes import first_timeout_s
from gateway.delivery.sequencer import Sequencer
from gateway.event import Meta, read_meta
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import SubscriberOptions
from gateway.store.entries import Entry
from gateway.store.parcels import Parcel
from gateway.store.taking.parked import Parked

_logger = logging.getLogger(__name__)
BACKLOG_FULL = "backlog_full"
UNREADABLE = "unreadable"
# How the counts of a settled batch are labelled, in the order of `store.taking.settling.Settling`.
HOW = ("delivered", "unmatched", "parked", "buried", "delivered", "parked", "buried")


class Wants(Protocol):
    """Decides whether a subscriber gets an event."""

    wants_all: bool

    def wants(self, meta: Meta, body: bytes) -> bool: ...


class Triage:
    """Of one worker, of all its `claims`. `decided` is called when there is something to settle."""

    def __init__(
        self,
        options: SubscriberOptions,
        matcher: Wants,
        sequencer: Sequencer,
        metrics: Metrics,
        *,
        claims: Sequence[Claim],
        serves: bool,
        decided: Callable[[], None],
    ) -> None:
        self._name = options.name
        self._options = options
        self._matcher = matcher
        self._sequencer = sequencer
        self._metrics = metrics
        self._serves = serves
        self._decided = decided
        self._fresh_timeout_s = first_timeout_s("fast", options.retry)
        self._late_timeout_s = first_timeout_s("slow", options.retry)
        self._paused = self._stopping = False
        self._seldom = Seldom()
        self._claims = claims

    @property
    def open(self) -> bool:
        return self._serves and not self._paused and not self._stopping

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._sequencer.held_up = not self.open

    @property
    def stopping(self) -> bool:
        return self._stopping

    @stopping.setter
    def stopping(self, stopping: bool) -> None:
        self._stopping = stopping
        self._sequencer.held_up = not self.open

    @property
    def ready(self) -> int:
        return self._sequencer.ready

    @property
    def free_late_slots(self) -> int:
        return self._sequencer.free_late_slots

    def receive(self, claim: Claim, entries: list[Entry]) -> None:
        """Take in what was read from the stream, oldest first."""
        lease = claim.lease
        assert lease is not None
        wants, unmatched = self._matcher.wants, list[bytes]()
        wants_all, timeout_s = self._matcher.wants_all, self._fresh_timeout_s
        for entry in entries:
            try:
                meta = read_meta(entry.meta)
            except msgspec.MsgspecError:
                self._bury_unreadable(claim, entry)
                continue
            excessive = claim.dropping and _is_excessive(claim, entry)
            if not wants_all and not wants(meta, entry.body):
                unmatched.append(entry.id)
                continue
            delivery = Delivery(claim, lease, entry, meta, timeout_s)
            if excessive:
                self._bury(delivery)
            else:
                self._sequencer.admit(delivery)
        claim.unmatched(unmatched)
        if claim.has_outcomes:
            self._decided()

    def receive_due(self, claim: Claim, due: Parked) -> None:
        """Take in parked deliveries whose next attempt is due."""
        for entry_id, parcel in due.parcels:
            if entry_id not in claim.late_held:
                self._sequencer.admit_late(self._unpacked(claim, entry_id, parcel))

    def receive_farthest(self, claim: Claim, due: Parked) -> None:
        """Bury parked deliveries, as many as are beyond the bound."""
        buried = 0
        for entry_id, parcel in due.parcels:
            if claim.drop_parked_bytes <= 0 or entry_id in claim.late_held:
                continue
            claim.drop_parked_bytes -= len(parcel.meta) + len(parcel.body)
            self._bury(self._unpacked(claim, entry_id, parcel))
            buried += 1
        if not buried:  # the rest is being attempted just now
            claim.drop_parked_bytes = 0

    def _unpacked(self, claim: Claim, entry_id: bytes, parcel: Parcel) -> Delivery:
        lease = claim.lease
        assert lease is not None
        claim.late_held.add(entry_id)
        entry = Entry(entry_id, parcel.meta, parcel.body)
        delivery = Delivery(claim, lease, entry, read_meta(parcel.meta), self._late_timeout_s)
        delivery.late = True
        delivery.attempts = parcel.attempts
        if not parcel.buried_ms:  # else it was revived, and its horizon begins anew
            delivery.first_attempt_ms = parcel.first_attempt_ms
            delivery.slow_attempts = parcel.slow_attempts
        return delivery

    def _bury_unreadable(self, claim: Claim, entry: Entry) -> None:
        """Something else writes to our streams: keep it for a person, and go on."""
        claim.unreadable(entry, now_ms(), UNREADABLE)
        self._seldom.log(
            "unreadable", _logger, "an entry of the stream is not ours", subscriber=self._name
        )

    def _bury(self, delivery: Delivery) -> None:
        delivery.claim.buried(delivery, now_ms(), BACKLOG_FULL, None)
        self._decided()
        self._seldom.log(
            "full", _logger, "backlog is full: the oldest events are buried", subscriber=self._name
        )

    def released(self, settled: list[Delivery]) -> None:
        for delivery in settled:
            self._sequencer.release(delivery)

    def renewed(self, lease: Lease) -> None:
        self._sequencer.certain(lease)

    def lost(self, lease: Lease) -> None:
        self._sequencer.drop(lease)

    def repeating(self, entries: int) -> None:
        self._metrics.repeats.add(self._name, by=entries)

    def count_settled(self, counts: list[int]) -> None:
        for how, count in zip(HOW, counts, strict=True):
            if count:
                self._metrics.settled.add(self._name, how, by=count)

    def standing_changed(self) -> None:
        """Look at the backlog as a whole: is it within its bound?"""
        standings = {
            claim.shard: claim.standing for claim in self._claims if claim.standing is not None
        }
        waiting = sum(each.unread + each.in_flight + each.parked for each in standings.values())
        self._metrics.backlog.set(self._name, to=waiting)
        over = excess(standings, self._options.backlog)
        wall_ms = now_ms()
        for claim in self._claims:
            if claim.standing is None:
                continue
            claim.drop_parked_bytes, claim.drop_unread_bytes = over[claim.shard]
            claim.drop_before_ms = too_old_before_ms(
                claim.standing,
                self._options.backlog,
                serving_since_ms=claim.serving_since_ms,
                now_ms=wall_ms,
            )
            if claim.drop_parked_bytes > 0 or claim.dropping:
                claim.due_at = 0.0


def _is_excessive(claim: Claim, entry: Entry) -> bool:
    """Whether this entry is among those to bury; counts it against what is to go."""
    excessive = claim.drop_unread_bytes > 0
    claim.drop_unread_bytes -= len(entry.meta) + len(entry.body)
    if claim.drop_before_ms:
        if int(entry.id.partition(b"-")[0]) < claim.drop_before_ms:
            return True
        claim.drop_before_ms = 0  # from here on all are younger
    return excessive
