"""The hub: who watches which call, and an event's way to all of them.

A watcher of Stream's own protocol takes events verbatim: one frame is built for an event, the
frames of one page are joined, and the same bytes are written to every such watcher, which is all
that a watcher costs. A watcher of the plain feed chooses by itself. Neither is ever waited for:
who does not take what it is sent is let go, alone.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.clock import now_ms
from gateway.feed.connections import Connections
from gateway.feed.frames import text_frame
from gateway.feed.members import CALLING_TYPES, members_of
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.stream.tail import Entry

_logger = logging.getLogger(__name__)
Write = Callable[[bytes], object]


class Watcher(Protocol):
    app: str
    calls: set[str]


class Verbatim(Watcher, Protocol):
    """A watcher that is given the bytes of frames, by its transport's own `write`."""

    write: Write


class Choosy(Watcher, Protocol):
    """A watcher that is given entries, and at their end a `flush`."""

    def offer(self, entry: Entry) -> None: ...
    def flush(self) -> None: ...
    def missed(self, shards: Iterable[int]) -> None: ...


class _Audience:
    """The watchers of one call, and what waits for the end of the page."""

    __slots__ = ("choosy", "frames", "writes")

    def __init__(self) -> None:
        self.writes: dict[Verbatim, Write] = {}
        self.choosy: set[Choosy] = set()
        self.frames: list[bytes] = []


class Hub:
    """A `Sink` of the tail's."""

    def __init__(self, connections: Connections, metrics: Metrics) -> None:
        self._connections = connections
        self._audiences: dict[tuple[str, str | None], _Audience] = {}
        self._touched: list[_Audience] = []
        self._choosy: set[Choosy] = set()  # that were offered something in this page
        self._everybody: set[Choosy] = set()
        self._accepted_ms: list[int] = []
        self._delay = metrics.feed_seconds
        self._frames, self._bytes = metrics.feed_frames, metrics.feed_bytes
        self._seldom = Seldom()
        metrics.feed_calls.track(read=lambda: len(self._audiences))

    # ---- who watches

    def relay(self, watcher: Verbatim, calls: Iterable[str]) -> None:
        """Have all events of `calls` written to `watcher` from now on."""
        for cid in calls:
            self._audience(watcher.app, cid).writes[watcher] = watcher.write
            watcher.calls.add(cid)

    def watch(self, watcher: Choosy, calls: Iterable[str]) -> None:
        """Have all events of `calls` offered to `watcher` from now on."""
        self._everybody.add(watcher)
        for cid in calls:
            self._audience(watcher.app, cid).choosy.add(watcher)

    def unwatch(self, watcher: Verbatim | Choosy, calls: Iterable[str]) -> None:
        for cid in calls:
            key = watcher.app, cid
            audience = self._audiences.get(key)
            if audience is None:
                continue
            audience.writes.pop(watcher, None)  # type: ignore[arg-type]  # it is of one kind
            audience.choosy.discard(watcher)
            if not audience.writes and not audience.choosy:
                del self._audiences[key]

    def leave(self, watcher: Verbatim | Choosy) -> None:
        self.unwatch(watcher, watcher.calls)
        self._everybody.discard(watcher)

    def _audience(self, app: str, cid: str) -> _Audience:
        return self._audiences.setdefault((app, cid), _Audience())

    # ---- what the tail brings

    def offer(self, entry: Entry) -> None:
        meta = entry.meta
        audience = self._audiences.get((meta.app, meta.call_cid))
        is_calling = meta.type in CALLING_TYPES
        if (audience is None and not is_calling) or not self._is_text(entry):
            return
        frame = text_frame(entry.body)
        if audience is not None:
            self._accepted_ms.append(meta.accepted_ms)
            if audience.writes:
                if not audience.frames:
                    self._touched.append(audience)
                audience.frames.append(frame)
            for watcher in audience.choosy:
                watcher.offer(entry)
            self._choosy |= audience.choosy
        if is_calling and meta.call_cid is not None:
            self._call(meta.app, meta.call_cid, entry.body, frame)

    def _is_text(self, entry: Entry) -> bool:
        """Tell whether a body is UTF-8: any other would end the connections it is sent on."""
        if entry.body.isascii():
            return True
        try:
            entry.body.decode()
        except UnicodeDecodeError:
            self._seldom.log("text", _logger, "an event is no text", event=entry.meta.key)
            return False
        return True

    def _call(self, app: str, cid: str, body: bytes, frame: bytes) -> None:
        """Tell the members whom an event names, as far as they do not watch the call."""
        for user_id in members_of(body):
            for one in self._connections.of_user(app, user_id):
                one.called(cid, frame)

    def flush(self) -> None:
        for audience in self._touched:
            frames, audience.frames = audience.frames, []
            self._write(audience, b"".join(frames), len(frames))
        self._touched.clear()
        if self._choosy:
            for watcher in self._choosy:
                watcher.flush()
            self._choosy = set()
        if self._accepted_ms:
            now = now_ms()
            for moment in self._accepted_ms:
                self._delay.observe((now - moment) / 1000)
            self._accepted_ms.clear()

    def _write(self, audience: _Audience, data: bytes, frames: int) -> None:
        writes = iter(audience.writes.values())
        while True:
            try:
                for write in writes:
                    write(data)
                break
            except Exception:  # one watcher's transport must not cost the others an event
                _logger.exception("a frame was not written")
        count = len(audience.writes)
        self._frames.add(by=frames * count)
        self._bytes.add(by=len(data) * count)

    def missed(self, shards: Iterable[int]) -> None:
        lost = list(shards)
        for watcher in tuple(self._everybody):
            watcher.missed(lost)
            watcher.flush()
