"""The tail: follows the end of all shards, without a group, for whoever is watching.

It runs only while somebody wants it. Entries go to a sink in the order of their shard, each once;
numbers are contiguous, so an entry that is missing (trimmed before we came to it, flushed) shows
in the next one, and a shard that has lost its tail shows in its epoch. Both are told to the sink
as `missed`, never passed over. The tail waits for no watcher. An entry that comes alone, after a
pause, goes out at once; where they come faster than they go out the tail rests in proportion to its
own work, so that pages grow instead of becoming more.
"""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from time import perf_counter
from typing import NamedTuple, Protocol

import msgspec

from gateway.errors import EngineRefused, EngineUnavailable
from gateway.event import Meta, read_meta
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.options import KIB
from gateway.store import keys
from gateway.store.entries import Id
from gateway.store.watching.shard_reader import Position, Raw, ShardPage, ShardReader
from gateway.tasks import together

_logger = logging.getLogger(__name__)
AWAY_S = 0.5
# A page's bytes for one call come to each of its watchers in one piece.
_PAGE_BYTES = 64 * KIB
_FIRST_COUNT, _MOST_COUNT = 8, 512
_REST, _LEAST_REST_S, _LONGEST_REST_S = 0.5, 0.001, 0.02  # the first: of the time it was busy


class TailEntry(NamedTuple):
    """One event as it was published."""

    shard: int
    id: Id
    number: int
    meta: Meta
    body: bytes


class TailSink(Protocol):
    """Takes what the tail reads. Never raises, never waits."""

    def offer(self, entry: TailEntry) -> None:
        """Take one entry; `positions` already stand behind it."""

    def flush(self) -> None:
        """End a page: what was offered may go out now."""

    def missed(self, shards: Iterable[int]) -> None:
        """Know that entries of these shards were lost on the way."""


class Tail:
    """`positions`: where it stands, by shard; all None while it does not run."""

    def __init__(self, readers: Sequence[ShardReader], metrics: Metrics) -> None:
        self.positions: list[Position | None] = [None] * keys.SHARDS
        self._readers, self._metrics = readers, metrics
        self._users = 0
        self._wanted = asyncio.Event()
        self._stands = asyncio.Event()
        self._count = _FIRST_COUNT
        self._seldom = Seldom()

    # ---- who wants it

    def join(self) -> None:
        """Have it run, until as many have left as joined."""
        self._users += 1
        self._wanted.set()

    def leave(self) -> None:
        self._users -= 1

    async def standing(self, within_s: float) -> None:
        """Return once all that is published from now on will come. Raises `EngineUnavailable`."""
        if self._stands.is_set():
            return
        try:
            async with asyncio.timeout(within_s):
                await self._stands.wait()
        except TimeoutError:
            raise EngineUnavailable("the streams have not been read yet") from None

    # ---- the loop

    async def run(self, sink: TailSink) -> None:
        """Follow until cancelled; whatever Redis does, come back and go on."""
        try:
            await together(*(self._run(reader, sink) for reader in self._readers))
        finally:
            for reader in self._readers:
                await reader.close()

    async def _run(self, reader: ShardReader, sink: TailSink) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._follow(reader, sink)
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log("away", _logger, "cannot follow events", reason=str(error))
                await asyncio.sleep(AWAY_S)

    async def _follow(self, reader: ShardReader, sink: TailSink) -> None:
        if self.positions[reader.shards[0]] is None:
            for shard, one in (await reader.standing()).items():
                self.positions[shard] = one
            if all(self.positions):
                self._stands.set()
        while self._users:
            asked = perf_counter()
            pages = await reader.read(self._after(reader), self._count)
            began = perf_counter()
            await self._take(reader, pages, sink)
            if entries := sum(len(page.entries) for page in pages):
                self._count = _next_count(pages)
                if entries > 1 or perf_counter() - began > began - asked:
                    await _rest(began)
        self._stop(reader)

    def _after(self, reader: ShardReader) -> list[Position]:
        return [one for shard in reader.shards if (one := self.positions[shard]) is not None]

    def _stop(self, reader: ShardReader) -> None:
        if not self._users:  # nobody has come meanwhile
            self._wanted.clear()
            self._stands.clear()
            for shard in reader.shards:
                self.positions[shard] = None

    # ---- one read

    async def _take(self, reader: ShardReader, pages: Sequence[ShardPage], sink: TailSink) -> None:
        lost = [page.shard for page in pages if self._is_broken(page)]
        if any(not page.entries for page in pages if page.shard in lost):
            await self._stand_anew(reader, pages, lost)
        if lost:
            self._metrics.feed_gaps.add(by=len(lost))
            self._seldom.log("gap", _logger, "events were missed", shards=lost)
            sink.missed(lost)
        for page in pages:
            self._take_page(page, sink)
        sink.flush()

    def _is_broken(self, page: ShardPage) -> bool:
        """Tell whether entries are missing in front of `page`; then stand right before it."""
        was = self.positions[page.shard]
        assert was is not None
        first = _number(page.entries[0]) if page.entries else was.number + 1
        if page.epoch == was.epoch and first in (was.number + 1, None):
            return False
        if page.entries and first is not None:
            before = _before(page.entries[0].id)
            self.positions[page.shard] = Position(page.epoch, first - 1, before)
        return True

    async def _stand_anew(
        self, reader: ShardReader, pages: Sequence[ShardPage], lost: Sequence[int]
    ) -> None:
        """Where an epoch has changed and nothing came, ids may have gone back: ask for the end."""
        standing = await reader.standing()
        for page in pages:
            if page.shard in lost and not page.entries:
                self.positions[page.shard] = standing[page.shard]

    def _take_page(self, page: ShardPage, sink: TailSink) -> None:
        shard, epoch, positions = page.shard, page.epoch, self.positions
        for raw in page.entries:
            try:
                _, number, _, _, _, meta, _, body = raw.fields
                entry = TailEntry(shard, raw.id, int(number), read_meta(meta), body)
            except (ValueError, msgspec.MsgspecError):
                self._seldom.log("foreign", _logger, "an entry is not ours", shard=shard)
                was = positions[shard]
                assert was is not None
                positions[shard] = Position(epoch, was.number, raw.id)
                continue
            positions[shard] = Position(epoch, entry.number, raw.id)
            sink.offer(entry)


async def _rest(began: float) -> None:
    """Leave the loop to others for a share of the time since `began`."""
    await asyncio.sleep(0)  # what was written meanwhile goes out
    busy_s = perf_counter() - began
    await asyncio.sleep(max(_LEAST_REST_S, min(busy_s * _REST, _LONGEST_REST_S)))


def _number(raw: Raw) -> int | None:
    """Return an entry's number; None for one that our publisher did not write."""
    try:
        return int(raw.fields[1])
    except (ValueError, IndexError):
        return None


def _before(entry: Id) -> Id:
    """Return the largest id that is smaller."""
    ms, seq = entry
    return (ms, seq - 1) if seq else (ms - 1, 2**64 - 1)


def _next_count(pages: Sequence[ShardPage]) -> int:
    """Return how many entries of a shard come to about `_PAGE_BYTES`, by those that came."""
    sizes = [len(raw.fields[-1]) for page in pages for raw in page.entries if raw.fields]
    mean = sum(sizes) // max(1, len(sizes)) + 1
    return max(1, min(_MOST_COUNT, _PAGE_BYTES // mean))
