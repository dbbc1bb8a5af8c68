"""A worker's hold on one shard: its lease, what it has read, and what is to be settled.

Bookkeeping only, no I/O: `leases` and `rounds` ask Redis and write the answers here. Losing the
lease drops everything at once; attempts then in flight may finish, but nothing they come to is
settled, because each delivery remembers the lease that it was read under.
"""

from collections import deque

from gateway.event import Meta
from gateway.store.entries import Entry, Id, parse_id
from gateway.store.parcels import Parcel
from gateway.store.taking.consumer_group import Acquired, Group, Standing
from gateway.store.taking.settling import Settling
from gateway.subscribers.outcome import Failed

# Read and not settled, per shard: the bound of the pending list, and of what is in memory while
# nobody is ready (see `read_ahead`).
WINDOW_ENTRIES = 512
WINDOW_BYTES = 2 << 20


class Lease:
    """The right to work on a shard. `until`: monotonic seconds up to which it is certain."""

    __slots__ = ("calls", "lost", "stashed", "token", "unanswered", "until")

    def __init__(self, token: int, until: float) -> None:
        self.token = token
        self.until = until
        self.lost = False
        # A call under this token got no answer: Redis may still come to it, much later.
        self.unanswered = False
        self.stashed: list[Delivery] = []  # its turn came while the lease was uncertain
        # Call -> what waits behind the event of it that is under way; None: nothing.
        self.calls: dict[tuple[str, str], deque[Delivery] | None] = {}


class Delivery:
    """One event on its way to one subscriber."""

    __slots__ = (
        "attempts",
        "body",
        "call",
        "claim",
        "first_attempt_ms",
        "id",
        "late",
        "lease",
        "meta",
        "meta_bytes",
        "slow_attempts",
        "timeout_s",
    )

    def __init__(
        self, claim: "Claim", lease: Lease, entry: Entry, meta: Meta, timeout_s: float
    ) -> None:
        self.claim = claim
        self.lease = lease
        self.id, self.meta_bytes, self.body = entry
        self.meta = meta
        self.timeout_s = timeout_s
        self.call: tuple[str, str] | None = None  # its unit of order; None: no order
        self.late = False
        self.attempts = 0
        self.first_attempt_ms = 0
        self.slow_attempts = 0

    def parcel(self, reason: str, failed: Failed | None = None, buried_ms: int = 0) -> Parcel:
        """Return it packed up for later, with its history. `buried_ms` 0: for another attempt."""
        return Parcel(
            meta=self.meta_bytes,
            body=self.body,
            attempts=self.attempts,
            first_attempt_ms=self.first_attempt_ms,
            reason=reason,
            status=failed.status if failed else None,
            detail=failed.detail if failed else "",
            snippet=failed.snippet if failed else "",
            buried_ms=buried_ms,
            late=True,
            slow_attempts=self.slow_attempts,
        )


class Claim:
    """One (subscriber, shard). Times are monotonic seconds unless they end in `_ms`."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.shard = group.shard
        self.joined = False
        self.lease: Lease | None = None
        self.acquire_at = 0.0
        self.renew_at = 0.0
        self.serving_since_ms = 0
        self.standing: Standing | None = None
        self.furthest: Id = (0, 0)  # that was ever taken here; less may be remembered by Redis
        # When it has something to say, beside what was read, decided or parked; 0: now.
        self.due_at = 0.0
        self._forget()

    def _forget(self) -> None:
        self.cursor: bytes | None = None  # where to go on reading what was left pending
        self.took_over = False  # what is pending was an earlier holder's
        self.look = False  # there may be something to take
        self.behind = False  # and more than is asked for at once
        self.taken: Id = (0, 0)
        self.held: dict[bytes, int] = {}  # id -> bytes of what was read and is not settled
        self.held_bytes = 0
        self.late_held: set[bytes] = set()
        self.next_due_ms = -1
        self._outbox = Settling()
        self.sent: Settling | None = None  # its outcome is not known yet
        self.has_outcomes = False  # there is something to settle
        self._after_outbox: list[Delivery] = []
        self._after_sent: list[Delivery] = []
        # What is to be buried because the backlog is beyond its bound.
        self.drop_before_ms = 0
        self.drop_unread_bytes = 0
        self.drop_parked_bytes = 0

    def acquired(self, lease: Acquired, until: float, now_ms: int) -> None:
        """Start anew under a new lease, with what the holder before left pending."""
        self._forget()
        self.lease = Lease(lease.token, until)
        self.taken = parse_id(lease.taken)
        self.furthest = max(self.furthest, self.taken)
        self.cursor, self.took_over, self.look = b"0-0", True, True
        self.behind = True
        self.renew_at = 0.0
        self.serving_since_ms = now_ms

    def read_again(self) -> None:
        """Go through what is pending once more: Redis may have lost what was settled last."""
        if self.lease is not None:
            self.cursor, self.look = b"0-0", True

    def lose(self) -> Lease | None:
        """Drop everything; return the lease that is lost, if there was one."""
        lease, self.lease = self.lease, None
        if lease is not None:
            lease.lost = True
        self.standing = None
        self.acquire_at = self.due_at = 0.0
        self._forget()
        return lease

    @property
    def is_under_way(self) -> bool:
        """Whether something was read here that is not settled."""
        return bool(self.held or self.late_held or self.has_outcomes or self.sent)

    @property
    def dropping(self) -> bool:
        return self.drop_unread_bytes > 0 or self.drop_before_ms > 0

    def can_read(self) -> bool:
        """Whether there may be something to read, and room: a quarter of the window is free."""
        lease = self.lease
        return (
            self.look
            and lease is not None
            and not lease.unanswered
            and len(self.held) <= WINDOW_ENTRIES * 3 // 4
            and self.held_bytes <= WINDOW_BYTES * 3 // 4
        )

    def hold(self, entry: Entry) -> bool:
        """Note an entry as read; False if it is held already (read again after a failure)."""
        if entry.id in self.held:
            return False
        size = len(entry.meta) + len(entry.body)
        self.held[entry.id] = size
        self.held_bytes += size
        return True

    # What was decided, for the next round to settle.

    def unmatched(self, entry_ids: list[bytes]) -> None:
        if entry_ids:
            self._outbox.unmatched += entry_ids
            self.has_outcomes = True

    def unreadable(self, entry: Entry, buried_ms: int, reason: str) -> None:
        """Have an entry buried that is no event."""
        parcel = Parcel(entry.meta, entry.body, reason=reason, buried_ms=buried_ms)
        self._outbox.buried.append((entry.id, buried_ms, parcel))
        self.has_outcomes = True

    def delivered(self, delivery: Delivery) -> None:
        box = self._outbox
        (box.late_delivered if delivery.late else box.delivered).append(delivery.id)
        self.has_outcomes = True

    def parked(self, delivery: Delivery, due_ms: int, failed: Failed) -> None:
        box = self._outbox
        parcel = delivery.parcel(failed.reason.value, failed)
        (box.late_parked if delivery.late else box.parked).append((delivery.id, due_ms, parcel))
        self._release_when_settled(delivery)

    def buried(
        self, delivery: Delivery, buried_ms: int, reason: str, failed: Failed | None
    ) -> None:
        box = self._outbox
        parcel = delivery.parcel(reason, failed, buried_ms)
        (box.late_buried if delivery.late else box.buried).append((delivery.id, buried_ms, parcel))
        self._release_when_settled(delivery)

    def _release_when_settled(self, delivery: Delivery) -> None:
        """Hold back what follows in its call until Redis has it among the parked or buried.

        Else a crash between the two would deliver this event again, after its successor and
        without saying that it is late. (A delivered one that is delivered again is a repeat,
        which its successors do not mind.)
        """
        self._after_outbox.append(delivery)
        self.has_outcomes = True

    def to_send(self) -> Settling | None:
        """Return the batch to settle now: the one sent before without an answer, or the next."""
        if self.sent is None and self.has_outcomes:
            self.sent, self._outbox = self._outbox, Settling()
            self._after_sent, self._after_outbox = self._after_outbox, []
            self.has_outcomes = False
        return self.sent

    def settled(self) -> list[Delivery]:
        """Close the batch sent; return the deliveries whose successors may go now."""
        sent, self.sent = self.sent, None
        if sent is None:
            return []
        for entry_id in (*sent.delivered, *sent.unmatched):
            self.held_bytes -= self.held.pop(entry_id, 0)
        for entry_id, _, _ in (*sent.parked, *sent.buried):
            self.held_bytes -= self.held.pop(entry_id, 0)
        self.late_held.difference_update(
            sent.late_delivered, *([row[0]] for row in (*sent.late_parked, *sent.late_buried))
        )
        for _, due_ms, _ in (*sent.parked, *sent.late_parked):
            self.due_by(due_ms)
        released, self._after_sent = self._after_sent, []
        return released

    def due_by(self, due_ms: int) -> None:
        if self.next_due_ms < 0 or due_ms < self.next_due_ms:
            self.next_due_ms = due_ms
