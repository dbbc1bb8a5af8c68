"""Which sets of digests tell whether an event was seen before. Pure.

Digests are kept in slices of acceptance time, half a window long, so that forgetting is dropping
a set. A repeat within the window is in the event's own slice or a neighbour; an event that was
published late (its journal waited while another's did not) may be in a later one. A window that
was changed leaves slices of another length, which are asked until they are forgotten.
"""

from dataclasses import dataclass, field

from gateway.stream import keys


@dataclass(slots=True)
class Slices:
    """The slices of one shard: `latest` maps a slice's length in ms to its newest index."""

    window_ms: int
    latest: dict[int, int] = field(default_factory=dict)
    _asked: tuple[tuple[int, ...], tuple[str, ...]] = ((), ())  # the last answer, and for what

    @property
    def length_ms(self) -> int:
        return max(1, self.window_ms // 2)

    def index(self, accepted_ms: int) -> int:
        return accepted_ms // self.length_ms

    def keys(self, shard: int, first_ms: int, last_ms: int) -> tuple[str, ...]:
        """Return the key to write first, then the others to ask, for events accepted in
        `first_ms`..`last_ms`, all of one slice. The same tuple as before when nothing changed.
        """
        own = self.index(first_ms)
        self.latest[self.length_ms] = max(own, self.latest.get(self.length_ms, own))
        reach = [shard, own]
        for length_ms, newest in self.latest.items():
            reach += (length_ms, (first_ms - self.window_ms) // length_ms)
            reach.append(min(newest, (last_ms + self.window_ms) // length_ms))
        if self._asked[0] != (key := tuple(reach)):
            self._asked = key, tuple(self._keys(shard, own, first_ms, last_ms))
        return self._asked[1]

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
