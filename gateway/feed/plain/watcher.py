"""A watcher of the plain feed: what it wants, and what waits for it.

While history is read for it (`hold`), live frames wait here instead of going out. What waits and
what is on its way are bounded together: a watcher beyond the bound is let go, comes back, and
resumes where it was.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from gateway.feed.hub import Hub, Outlet
from gateway.feed.plain import messages
from gateway.feed.plain.cursors import encode
from gateway.feed.plain.frames import PlainFrames, Shards
from gateway.feed.plain.messages import Style
from gateway.feed.plain.type_filter import TypeFilter
from gateway.feed.websocket.frames import TRY_LATER
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.watching.tail import TailEntry


class WatcherSink(Protocol):
    """The connection, as far as a watcher needs it."""

    style: Style

    @property
    def unsent_bytes(self) -> int:
        """What the other side has not taken yet."""

    def write(self, data: bytes) -> None:
        """Send whole frames. Never raises, never waits."""

    def direct(self, full: Callable[[], None], lost: Callable[[], None]) -> Outlet | None:
        """Return what frames may be relayed to past the sink, None where there is no such now.

        `full` is called once more than the outbox waits, `lost` once nothing more may be written.
        """

    async def drained(self) -> None:
        """Wait until there is room again. Raises ConnectionError, TimeoutError."""

    def probe(self) -> None:
        """Write something that has to be acknowledged."""

    def unacknowledged_bytes(self) -> int | None:
        """Return what was written and has not arrived; None where that cannot be known."""

    def cut_off(self) -> None:
        """End without a word: nobody is there."""

    def ping(self) -> None:
        """See whether the other side is there, where the transport has a way."""

    def end(self, code: int, reason: str = "") -> None:
        """End the connection; `code` as RFC 6455 has it. What is written after it is dropped."""


class PlainWatcher:
    """Given entries by the hub, which ends each batch with `flush`."""

    def __init__(
        self,
        sink: WatcherSink,
        frames: PlainFrames,
        *,
        app: str,
        user_id: str | None,
        connection_id: str,
        outbox_bytes: int,
        metrics: Metrics,
        granted: frozenset[str] = frozenset(),
    ) -> None:
        self.app, self.user_id, self.connection_id = app, user_id, connection_id
        self.style = sink.style
        self.calls: set[str] = set()
        self.granted = granted
        self.made_here: set[str] = set()
        self._aside: set[str] = set()  # of the calls: nothing of them comes for now
        self.shards: Shards = frozenset()
        self.wants: TypeFilter | None = None
        self._sink, self._frames, self._outbox_bytes = sink, frames, outbox_bytes
        self._metrics = metrics
        self._held: list[bytes] | None = None
        self._queue: list[bytes] = []
        self._queued_bytes = 0
        self._is_gone = False
        self.outlet: Outlet
        self.on_barred: Callable[[str], None] = self.calls.discard
        self.on_deleted: Callable[[str], None] = self.calls.discard
        self.on_aside: Callable[[str], None] = self.calls.discard

    # ---- what is watched

    def watch(self, calls: Iterable[str]) -> None:
        self.calls.update(calls)
        self._count_shards()

    def unwatch(self, calls: Iterable[str]) -> None:
        self.calls.difference_update(calls)
        self._aside &= self.calls
        self.made_here &= self.calls
        self._count_shards()

    def _count_shards(self) -> None:
        self.shards = frozenset(map(self.shard_of, self.calls))

    def shard_of(self, call_cid: str) -> int:
        return keys.shard_of(f"{self.app}\0{call_cid}".encode())

    def calls_in(self, shards: Iterable[int]) -> list[str]:
        wanted = set(shards)
        return sorted(cid for cid in self.calls if self.shard_of(cid) in wanted)

    def join(self, hub: Hub) -> None:
        """Have the hub bring what is watched: by relay where that is the same, and cheaper.

        With several calls it is not: a cursor wants the order of the shard.
        """
        if self._is_gone:
            return
        outlet = None
        calls = self.calls - self._aside if self._aside else self.calls
        if len(self.calls) == len(calls) == 1 and self.wants is None and self._held is None:
            outlet = self._sink.direct(self._overflowed, lambda: hub.leave(self))
        if outlet is None:
            hub.watch(self, calls)
        else:
            self.outlet = outlet
            hub.relay(self, calls, self._frames.of_one_call)

    def _overflowed(self) -> None:
        self.end(TRY_LATER, "slow")

    # ---- what the hub brings

    def offer(self, entry: TailEntry) -> None:
        """Take an entry of a call that is watched; what is not wanted of it is dropped."""
        if self.wants is None or self.wants(entry.meta.type):
            frame = self._frames.of(entry, self.shards, self.style)
            self._metrics.feed_frames.values[()] += 1
            self._metrics.feed_bytes.values[()] += len(frame)
            self.send(frame)

    def called(self, call_cid: str, frame: bytes) -> None:
        """Take nothing: a cursor covers the calls that are watched, and no others."""

    def barred(self, call_cid: str) -> None:
        self.on_barred(call_cid)

    def deleted(self, call_cid: str) -> None:
        self.on_deleted(call_cid)

    def set_aside(self, call_cid: str) -> None:
        self._aside.add(call_cid)
        self.on_aside(call_cid)

    def is_aside(self, call_cid: str) -> bool:
        return call_cid in self._aside

    def taken_back(self, call_cid: str, entries: Sequence[TailEntry]) -> None:
        """Go on with a call; a cursor may have gone past what came of it, so begin from there."""
        self._aside.discard(call_cid)
        if entries:
            self.come_again()

    def come_again(self) -> None:
        self.end(TRY_LATER, "members")

    def probe(self) -> None:
        self._sink.probe()

    def unacknowledged_bytes(self) -> int | None:
        return self._sink.unacknowledged_bytes()

    def cut_off(self) -> None:
        self._is_gone = True
        self._metrics.feed_let_go.add("gone")
        self._sink.cut_off()

    def missed(self, shards: Iterable[int]) -> None:
        """Tell that entries of these shards were lost on the way to us."""
        if calls := self.calls_in(shards):
            text = encode(self._frames.cursor(self.shards))
            self.send(messages.gap(calls, text, self.style))

    # ---- on its way

    @property
    def is_holding(self) -> bool:
        return self._held is not None

    def hold(self) -> None:
        """Keep what is sent from now on, until `release`; what is said overtakes it."""
        self._held = []

    def release(self) -> None:
        held, self._held = self._held or (), None
        self._queue += held
        self.flush()

    def send(self, frame: bytes) -> None:
        """Have `frame` go out with the next `flush`, or after the hold."""
        if self._is_gone:
            return
        (self._queue if self._held is None else self._held).append(frame)
        self._queued_bytes += len(frame)
        if self._queued_bytes + self._sink.unsent_bytes > self._outbox_bytes:
            self._overflowed()

    def say(self, frame: bytes) -> None:
        """Write `frame` at once, ahead of what is held."""
        if self._is_gone:
            return
        if self._held is not None:  # whoever reads history waits for room by itself
            self._sink.write(frame)
        else:
            self.send(frame)
            self.flush()

    def flush(self) -> None:
        """Write all that was sent in one piece."""
        if self._queue and self._held is None:
            data, self._queue, self._queued_bytes = b"".join(self._queue), [], 0
            self._sink.write(data)

    async def drained(self) -> None:
        await self._sink.drained()

    def ping(self) -> None:
        self._sink.ping()

    def end(self, code: int, reason: str) -> None:
        """Let it go; `reason` is a short word."""
        self._is_gone = True
        self._queue, self._held = [], None
        self._metrics.feed_let_go.add(reason)
        self._sink.end(code, reason)
