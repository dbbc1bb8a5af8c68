"""Who is next: order within calls, and the share of the two lanes.

With `order: call` an event waits until the one before it of the same call is through: delivered,
or safely among the parked or buried. Calls do not wait for each other. Parked deliveries that
are due come without order and get at most half of the slots, in turns with fresh ones, so that
neither a heap of old failures nor a flood of new events starves the other. No I/O, no clock.
"""

from collections import deque

from gateway.delivery.claim import Delivery, Lease
from gateway.options import Order


class Sequencer:
    """Of one subscriber, over all shards."""

    def __init__(self, order: Order, concurrency: int) -> None:
        self._ordered = order == "call"
        self._late_limit = max(1, concurrency // 2)
        self._fresh: deque[Delivery] = deque()
        self._late: deque[Delivery] = deque()
        self._late_running = 0
        self._late_was_last = False
        self.held_up = False  # paused or stopping: nobody is next

    def __len__(self) -> int:
        return len(self._fresh) + len(self._late)

    @property
    def ready(self) -> int:
        """How many fresh deliveries wait for nothing but a free slot."""
        return len(self._fresh)

    @property
    def free_late_slots(self) -> int:
        """How many parked deliveries are worth fetching: twice what may run."""
        return max(0, 2 * self._late_limit - self._late_running - len(self._late))

    def admit(self, delivery: Delivery) -> None:
        """Take a fresh delivery in; those of one call in their order."""
        meta = delivery.meta
        if not self._ordered or meta.call_cid is None:
            self._fresh.append(delivery)
            return
        call = delivery.call = (meta.app, meta.call_cid)
        calls = delivery.lease.calls
        if call not in calls:
            calls[call] = None
            self._fresh.append(delivery)
            return
        line = calls[call]
        if line is None:
            line = calls[call] = deque()
        line.append(delivery)

    def admit_late(self, delivery: Delivery) -> None:
        """Take in a parked delivery that is due."""
        self._late.append(delivery)

    def again(self, delivery: Delivery) -> None:
        """Its next attempt is due; it is still the one under way in its call."""
        (self._late if delivery.late else self._fresh).append(delivery)

    def next(self, now: float) -> Delivery | None:
        """Return the delivery to attempt now, or None. `now` in monotonic seconds.

        Follow with `ended`. What belongs to an uncertain lease is stashed until `certain`.
        """
        if self.held_up:
            return None
        while self._fresh or self._late:
            # Nearly always nothing is late.
            delivery = self._pop() if self._late else self._fresh.popleft()
            if delivery is None:
                return None
            lease = delivery.lease
            if lease.lost:
                continue
            if now >= lease.until:
                lease.stashed.append(delivery)
                continue
            self._late_running += delivery.late
            self._late_was_last = delivery.late
            return delivery
        return None

    def _pop(self) -> Delivery | None:
        if (
            self._late
            and self._late_running < self._late_limit
            and not (self._late_was_last and self._fresh)
        ):
            return self._late.popleft()
        return self._fresh.popleft() if self._fresh else None

    def ended(self, delivery: Delivery) -> None:
        """Note that an attempt is over, whatever it came to."""
        self._late_running -= delivery.late

    def release(self, delivery: Delivery) -> None:
        """Let the next one of its call go: `delivery` is through."""
        call = delivery.call
        if call is None or delivery.lease.lost:
            return
        line = delivery.lease.calls[call]
        if line:
            self._fresh.append(line.popleft())
        else:
            del delivery.lease.calls[call]

    def certain(self, lease: Lease) -> None:
        """Take back what was stashed: the lease has been renewed."""
        for delivery in lease.stashed:
            self.again(delivery)
        lease.stashed.clear()

    def drop(self, lease: Lease) -> None:
        """Forget all that was read under a lost lease; its calls go with it."""
        lease.stashed.clear()
        lease.calls.clear()
        self._fresh = deque(each for each in self._fresh if each.lease is not lease)
        self._late = deque(each for each in self._late if each.lease is not lease)
