"""From a piece of the journal to one batch per shard. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from gateway.event import Event, Stored, Stretch
from gateway.store import keys
from gateway.store.parcels import Parcel, pack
from gateway.store.publishing.shard_state import ShardState


class Batch(NamedTuple):
    """Events of one shard. `upto` is the position that the shard then has; None: no journal."""

    shard: int
    events: list[Event]
    upto: int | None

    @property
    def first_ms(self) -> int:
        return self.events[0].accepted_ms

    @property
    def last_ms(self) -> int:
        return self.events[-1].accepted_ms

    def marked_again(self, before_ms: int) -> "Batch":
        """Return it with those marked that were accepted before `before_ms`, Unix ms, and so may
        have been published before without anybody knowing it any more.
        """
        events = [
            one.marked_again() if one.accepted_ms < before_ms and not one.unfit else one
            for one in self.events
        ]
        return self._replace(events=events)

    def arguments(self) -> Iterator[bytes]:
        """Yield digest, meta and body of each event, as `publish.lua` reads them."""
        for event in self.events:
            yield event.key
            if event.unfit:
                yield b""
                yield pack(
                    Parcel(
                        meta=event.meta,
                        body=event.body,
                        reason=event.unfit,
                        first_attempt_ms=event.accepted_ms,
                        buried_ms=event.accepted_ms,
                    )
                )
            else:
                yield event.meta
                yield event.body


def first_slice(stored: Stretch, upto: int, window_ms: int) -> tuple[Stretch, int]:
    """Return the beginning of `stored` that lies in one slice of acceptance time, and its end.

    Nearly always all of it: one comparison.
    """
    if not stored:
        return stored, upto
    length_ms = max(1, window_ms // 2)
    own = stored.first_ms // length_ms
    if stored.last_ms // length_ms == own:
        return stored, upto
    count = next(
        index for index, one in enumerate(stored) if one.event.accepted_ms // length_ms != own
    )
    return stored.part(0, count), stored[count - 1].end


def unjournaled(events: Sequence[Event]) -> list[Stored]:
    """Return `events` as if they stood nowhere: for those that the disk refused."""
    return [Stored(0, 0, 0, event) for event in events]


def group(stored: Iterable[Stored], upto: int | None, shards: Sequence[ShardState]) -> list[Batch]:
    """Return one batch for each shard that lacks any of `stored`."""
    groups: dict[int, list[Event]] = {}
    for one in stored:
        shard = keys.shard_at(one.event.order_hash)
        if upto is None or one.end > shards[shard].position:
            events = groups.get(shard)
            if events is None:
                groups[shard] = [one.event]
            else:
                events.append(one.event)
    return [Batch(shard, events, upto) for shard, events in groups.items()]
