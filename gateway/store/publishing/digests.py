"""Which sets of digests tell whether an event was seen before. Pure.

Digests are kept in slices of acceptance time, half a window long, so that forgetting is dropping
a set. A repeat within the window is in the event's own slice or a neighbour; an event that was
published late (its journal waited while another's did not) may be in a later one. A window that
was changed leaves slices of another length, which are asked until they are forgotten.
"""

import math
from dataclasses import dataclass, field

from gateway.store import keys


@dataclass(slots=True)
class DigestSlices:
    """The slices of one shard: `latest` maps a slice's length in ms to its newest index."""

    window_ms: int
    latest: dict[int, int] = field(default_factory=dict)
    # For which first and last events the last answer is right.
    first: range = range(0)
    last_before_ms: float = 0
    _asked: tuple[str, ...] = ()

    @property
    def length_ms(self) -> int:
        return max(1, self.window_ms // 2)

    def index(self, accepted_ms: int) -> int:
        return accepted_ms // self.length_ms

    def keys(self, shard: int, first_ms: int, last_ms: int) -> tuple[str, ...]:
        """Return the key to write first, then the others to ask, for events accepted in
        `first_ms`..`last_ms`, all of one slice. The same tuple as before when nothing changed;
        always for the same `shard`.
        """
        if first_ms not in self.first or last_ms >= self.last_before_ms:
            own = self.index(first_ms)
            self.latest[self.length_ms] = max(own, self.latest.get(self.length_ms, own))
            self._asked = tuple(self._keys(shard, own, first_ms, last_ms))
            self.first = range(first_ms, self._first_end(own, first_ms))
            self.last_before_ms = self._last_end(last_ms)
        return self._asked

    def _first_end(self, own: int, first_ms: int) -> int:
        """Return from when on a first event is in another slice, or needs fewer to be asked."""
        window_ms = self.window_ms
        ends = (((first_ms - window_ms) // each + 1) * each + window_ms for each in self.latest)
        return min((own + 1) * self.length_ms, *ends)

    def _last_end(self, last_ms: int) -> float:
        """Return from when on a last event needs more slices to be asked."""
        reached = {each: (last_ms + self.window_ms) // each for each in self.latest}
        return min(
            math.inf if reached[each] >= newest else (reached[each] + 1) * each - self.window_ms
            for each, newest in self.latest.items()
        )

    def _keys(self, shard: int, own: int, first_ms: int, last_ms: int) -> list[str]:
        asked = [keys.seen(shard, self.length_ms, own)]
        for length_ms, newest in self.latest.items():
            low = (first_ms - self.window_ms) // length_ms
            high = min(newest, (last_ms + self.window_ms) // length_ms)
            asked += (
                keys.seen(shard, length_ms, index)
                for index in range(low, high + 1)
                if (length_ms, index) != (self.length_ms, own)
            )
        return asked
