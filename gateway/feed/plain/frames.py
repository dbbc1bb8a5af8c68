"""Event frames of the plain feed, each built once for all watchers of one shape.

The cursor of an event says where its watcher stands in every shard that it watches. Watchers
that are live all stand where the tail stands, so the same event with the same shards has the
same cursor and, written in the same style, the same bytes: a thousand watchers of a call share
one frame.
"""

from collections.abc import Iterable, Sequence

from gateway.errors import EngineUnavailable
from gateway.feed.plain import messages
from gateway.feed.plain.cursors import Cursor, CursorPlace, encode, mark_of
from gateway.feed.plain.messages import Style
from gateway.store.watching.shard_reader import Position
from gateway.store.watching.tail import TailEntry

Shards = frozenset[int]


def place_of(position: Position) -> CursorPlace:
    """Return the place in a cursor of a position in a shard."""
    return CursorPlace(mark_of(position.epoch), position.number, position.id)


class PlainFrames:
    """`positions`: where the tail stands, by shard; for an entry that is being dispatched, the
    entry itself.
    """

    def __init__(self, positions: Sequence[Position | None]) -> None:
        self._positions = positions
        self._entry: TailEntry | None = None
        self._built: dict[tuple[Shards, Style], bytes] = {}

    def cursor(self, shards: Iterable[int]) -> Cursor:
        """Return where a live watcher of these shards stands.

        Raises `EngineUnavailable` while that is not known.
        """
        cursor = {}
        for shard in shards:
            position = self._positions[shard]
            if position is None:
                raise EngineUnavailable("the streams have not been read yet")
            cursor[shard] = place_of(position)
        return cursor

    def stands(self, shards: Iterable[int]) -> bool:
        """Tell whether the tail stands in all of `shards`."""
        return all(self._positions[shard] is not None for shard in shards)

    def ahead(self, since: Cursor, shards: Iterable[int]) -> Cursor:
        """Return the places of `since` that the tail has still to reach, as far as it stands."""
        found = {}
        for shard in shards:
            position, place = self._positions[shard], since.get(shard)
            if position is None or place is None or place.mark != mark_of(position.epoch):
                continue
            if place.number > position.number:
                found[shard] = place
        return found

    def of_one_call(self, entry: TailEntry) -> bytes:
        """Return the frame of `entry`, which is being dispatched, for watchers of one call."""
        return self.of(entry, frozenset((entry.shard,)), "socket")

    def of(self, entry: TailEntry, shards: Shards, style: Style) -> bytes:
        """Return the frame of `entry`, which is being dispatched."""
        if entry is not self._entry:
            self._entry = entry
            self._built.clear()
        frame = self._built.get((shards, style))
        if frame is None:
            text = encode(self.cursor(shards))
            frame = self._built[shards, style] = messages.event(text, entry.body, style)
        return frame
