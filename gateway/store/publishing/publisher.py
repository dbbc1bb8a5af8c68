"""The publisher: carries the journal into the streams, by position.

Each shard's hash in Redis holds the position up to which it has everything from this journal; a
batch that does not follow that position is refused. So a reply that never came is settled by
asking, a crash needs no guess, and an engine that lost its newest entries (a failover, a torn
append-only file) shows a lower position and gets them again, before anything newer.

One batch is under way at a time and takes along whatever came meanwhile: batches grow with the
load. While Redis is away nothing here holds events; they wait in the journal.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from gateway import clock
from gateway.engine.access import EngineAccess
from gateway.engine.own_links import OwnLinks
from gateway.errors import EngineFull, EngineRefused, EngineUnavailable
from gateway.event import Event
from gateway.logs import Seldom, log
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.publishing.accounts import Beyond
from gateway.store.publishing.batches import first_slice
from gateway.store.publishing.shard_writer import ShardWriter
from gateway.store.publishing.source import JournalSource

_log = logging.getLogger("gateway.publisher")
CHECKPOINT_S = 1.0
_STEADY_S = 5.0  # without a refusal: there is room again
_WAITS = (
    "the engine's memory is full: what is accepted waits in the journal; /readyz on the admin"
    " listener says who holds it"
)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
Moment = Literal["progress", "reading", "owned"]


class Publisher:
    """Publishes `source` until cancelled."""

    def __init__(
        self,
        url: str,
        source: JournalSource,
        metrics: Metrics,
        *,
        window_s: float,
        timeout_s: float = 2.0,
        linger_s: float = 0.001,
        access: EngineAccess | None = None,
        replicas: int = 0,
        restore: Callable[[Sequence[int]], Awaitable[None]] | None = None,
    ) -> None:
        """`linger_s`: pause after a batch while which more has come, so that the next is not a
        handful. What comes alone is published at once.

        `replicas`: how many have to have what counts as replicated.

        `restore`: see `ShardWriter`.
        """
        self._listeners: dict[Moment, list[Callable[[], None]]] = {
            "progress": [],
            "reading": [],
            "owned": [],
        }
        self.is_up = self.lacks_room = False  # the latter: down for nothing but a full engine
        self.why_down = ""  # the last time; empty before the first answer, and while it is up
        self.is_busy = False  # with a batch, or resting after one: it will take the next by itself
        self.is_full, self._full_at = False, 0.0  # the engine, and when it last said so
        self._linger_s = linger_s
        self._checkpoint_at = 0.0  # monotonic
        self.cursor = 0  # everything before it is published
        self.replicated = 0  # and everything before this is on so many replicas, if any are asked
        self.lacks_replicas = replicas > 0  # not all that is published is on so many
        self._source, self._metrics, self._window_ms = source, metrics, int(window_s * 1000)
        self._links = OwnLinks(url, timeout_s=timeout_s, access=access, replicas=replicas)
        self._shards = ShardWriter(
            self._links, source, metrics, window_ms=self._window_ms, restore=restore
        )
        self._replicas = replicas
        self._heals_upto = 0  # up to there of the journal something may be published again
        self._behind: Beyond | None = None
        self._counted_upto = 0  # of the records with lower numbers it is known which are missing
        self._next_number: int | None = None
        self._first_number = _first_unconfirmed(source)
        self._last_accepted_ms = 0
        self._direct: deque[tuple[list[Event], Callable[[bool], None]]] = deque()
        self._wake = asyncio.Event()
        metrics.stream_up.set(to=0)
        self._seldom = Seldom(interval_s=10)

    # ---- what others ask

    def when(self, moment: Moment, callback: Callable[[], None]) -> None:
        """Have `callback` called after every change of state (`progress`), before the journal is
        read (`reading`), and once its name is settled or another (`owned`).
        """
        self._listeners[moment].append(callback)

    def _tell(self, moment: Moment) -> None:
        for callback in self._listeners[moment]:
            callback()

    def wake(self) -> None:
        """Tell that the journal has grown."""
        self._wake.set()

    def publish_unjournaled(self, events: list[Event], done: Callable[[bool], None]) -> None:
        """Publish events that the disk refused, behind all that the journal holds.

        `done(False)` when Redis does not take them either.
        """
        if not self.is_up:
            done(False)
            return
        self._direct.append((events, done))
        self._wake.set()

    @property
    def waiting(self) -> int | None:
        """Events in the journal and not published; None while that is not known."""
        if not self._shards.states:
            return None
        if self.cursor >= self._source.end:
            return 0
        if self._next_number is None:
            return None  # something waits, and the first of it was not read yet
        return self._source.next_number - self._next_number

    @property
    def waiting_at_most(self) -> int:
        """The same, or as much as it may be while it is not known."""
        waiting = self.waiting
        return self._source.next_number - self._first_number if waiting is None else waiting

    # ---- the loop

    async def own(self) -> None:
        """Have the journal's name settled, and publish nothing yet; however long Redis needs."""
        is_settled = False
        try:
            while not is_settled:
                try:
                    await self._ask_positions()
                    is_settled = True
                except (EngineUnavailable, EngineRefused, OSError) as error:
                    self._went_away(error)
                    await asyncio.sleep(FIRST_PAUSE_S)
        finally:
            if not is_settled:
                await self._links.close()

    async def run(self) -> None:
        """Publish for ever; whatever Redis does, come back."""
        pause_s = FIRST_PAUSE_S
        self._checkpoint_at = time.monotonic() + CHECKPOINT_S
        try:
            while True:
                try:
                    await self._ask_positions()
                    self._came_back()
                    pause_s = FIRST_PAUSE_S
                    await self._publish_all()
                except (EngineUnavailable, EngineRefused, OSError) as error:
                    self._went_away(error)
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        finally:
            self._shards.remember()
            self._went_away(None)
            await self._links.close()

    def _went_away(self, error: Exception | None) -> None:
        self.is_up = self.is_busy = False
        self.lacks_room = isinstance(error, EngineFull)
        self.lacks_replicas = self._replicas > 0
        self._metrics.stream_up.set(to=0)
        while self._direct:
            self._direct.popleft()[1](False)
        if error is not None:
            self.why_down = str(error)
            if isinstance(error, EngineFull):
                self._tell_full()
            else:
                self._seldom.log("away", _log, "not published, trying again", error=str(error))
        self._tell("progress")

    def _tell_full(self) -> None:
        if not self.is_full:
            log(_log, logging.WARNING, _WAITS)
        self.is_full, self._full_at = True, time.monotonic()

    def _tell_room(self) -> None:
        """Once all that waited is published, and none was refused for a while."""
        is_over = self.cursor >= self._source.end and time.monotonic() - self._full_at > _STEADY_S
        if self.is_full and is_over:
            log(_log, logging.INFO, "the engine has room again: what waited is published")
            self.is_full = False

    def _came_back(self) -> None:
        self.is_up, self.lacks_room, self.why_down = True, False, ""
        self._metrics.stream_up.set(to=1)
        self._tell("progress")

    async def _ask_positions(self) -> None:
        await self._shards.ask()
        self._heals_upto = self._shards.heals_upto
        lowest, is_first = self._shards.lowest, self._behind is None
        self.cursor = max(lowest if is_first else min(self.cursor, lowest), self._source.start)
        behind = self._shards.behind
        if behind is not None and behind is not self._behind:
            self._behind, self._counted_upto = behind, behind.number
            self._next_number = behind.number if self.cursor >= behind.position else None
        self._source.release(self.cursor)  # what has to be published again is kept
        self._tell("owned")

    async def _publish_all(self) -> None:
        is_followed = False  # whoever was answered just now may send again
        while True:
            # Before anything that a full engine refuses: digests that may go make room in it.
            if time.monotonic() >= self._checkpoint_at:
                await self._take_checkpoint()
                self._checkpoint_at = time.monotonic() + CHECKPOINT_S
            self._tell("reading")
            if self.cursor < self._source.end:
                self.is_busy = True
                await self._publish_next()
                is_followed = not self._linger_s
                if not is_followed and self.cursor < self._source.end:
                    await asyncio.sleep(self._linger_s)
            elif is_followed:
                is_followed = False
                await asyncio.sleep(0)
            elif self._direct:
                await self._publish_direct()
            elif self.lacks_replicas:
                await self._take_checkpoint()
            else:
                self.is_busy = False
                await self._sleep(self._checkpoint_at - time.monotonic())

    async def _sleep(self, longest_s: float) -> None:
        """Wait for `wake`, at most until the next checkpoint."""
        self._wake.clear()
        timer = asyncio.get_running_loop().call_later(max(0.0, longest_s), self._wake.set)
        await self._wake.wait()
        timer.cancel()

    # ---- one batch

    async def _publish_next(self) -> None:
        piece = self._source.read(self.cursor)
        if piece.stored:
            if piece.stored.first_number != self._next_number:
                await self._count_damage(piece.stored.first_number)
            self._next_number = piece.stored.first_number
        stored, upto = first_slice(piece.stored, piece.upto, self._window_ms)
        healed = self._shards.count_lost(stored) if self.cursor < self._heals_upto else 0
        if self.cursor < self._source.ownership.shared:
            everywhere = await self._shards.write_again(stored, upto)
        else:
            everywhere = await self._shards.write(stored, upto)
        if healed:
            self._metrics.healed.add(by=healed)
        if stored:
            self._next_number = stored.last_number + 1
            self._last_accepted_ms = stored.last_ms
        self.cursor = upto
        if self._replicas:
            self._count_replicas(everywhere=everywhere)
        self._source.release(upto)
        self._tell("progress")

    def _count_replicas(self, *, everywhere: bool) -> None:
        """After an exchange that wrote: do so many replicas have all that is published?

        `everywhere`: it wrote on every server. Only that can make up for one that did not have
        them: a connection that has written nothing yet waits for nothing.
        """
        enough = self._links.has_replicas and (everywhere or not self.lacks_replicas)
        self.lacks_replicas = not enough
        if enough:
            self.replicated = self.cursor

    async def _count_damage(self, number: int) -> None:
        """Numbers are contiguous: a gap is what damage has cost."""
        expected = max(self._next_number or 0, self._counted_upto)
        self._counted_upto = max(expected, number)
        if number > expected:
            await self._shards.count_damage(number - expected)

    async def _publish_direct(self) -> None:
        events, done = self._direct[0]
        await self._shards.write_unjournaled(events)
        self._direct.popleft()
        done(self._links.has_replicas)

    # ---- checkpoints

    async def _take_checkpoint(self) -> None:
        """Let shards without traffic follow, so that a restart need not read far back."""
        idle = self.cursor >= self._source.end
        accepted_ms = clock.now_ms() if idle else self._last_accepted_ms
        await self._shards.follow(self.cursor, accepted_ms)
        self._tell_room()
        self._source.release(self.cursor)
        if self.lacks_replicas:
            self._count_replicas(everywhere=True)
            self._tell("progress")


def _first_unconfirmed(source: JournalSource) -> int:
    """Return the number of the first record that some shard has not said to have."""
    position = min(source.watermarks.of(shard) for shard in range(keys.SHARDS))
    try:
        piece = source.peek(max(position, source.start), source.end)
    except OSError:
        return source.first_number
    return piece.stored.first_number if piece.stored else source.next_number
