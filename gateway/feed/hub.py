"""The hub: who watches which call, and an event's way to all of them.

Most watchers of a call want the same bytes: all of Stream's own protocol, and those of the plain
feed that watch one call and all of it. For them one frame is built for an event, the frames of one
page are joined, and one system call is all that a watcher costs. Others choose by themselves.
Neither is ever waited for: who does not take what it is sent is let go, alone.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from gateway import native
from gateway.calls.state import DELETED
from gateway.clock import now_ms
from gateway.event import MADE_HERE
from gateway.feed.connections import Connected, Connections
from gateway.feed.leaving import (
    COMING_TYPES,
    CREATED,
    LEAVING_TYPES,
    Leaving,
    has_blocked,
)
from gateway.feed.members import CALLING_TYPES, members_of
from gateway.feed.waiting import Waiting
from gateway.feed.websocket.frames import text_frame
from gateway.logs import Seldom
from gateway.metrics import Metrics
from gateway.store.watching.tail import TailEntry

_logger = logging.getLogger(__name__)
Render = Callable[[TailEntry], bytes]


class Watcher(Connected, Protocol):
    app: str
    user_id: str | None
    calls: set[str]
    made_here: set[str]


class Outlet(Protocol):
    """A connection, as the hub writes to it."""

    def relay(self, frames: bytes) -> None:
        """Send whole frames behind all that was sent before. Never raises, never waits."""


class Relayed(Watcher, Protocol):
    """A watcher that is given the bytes of frames, past itself."""

    outlet: Outlet


class Choosy(Watcher, Protocol):
    """A watcher that is given entries, and at their end a `flush`."""

    def offer(self, entry: TailEntry) -> None: ...
    def flush(self) -> None: ...
    def missed(self, shards: Iterable[int]) -> None: ...


class _Group:
    """Watchers of one call who want the same bytes, and what waits for the end of the page."""

    __slots__ = ("frames", "outlets")

    def __init__(self) -> None:
        self.outlets: dict[Relayed, Outlet] = {}
        self.frames: list[bytes] = []


class _Audience:
    """The watchers of one call. `groups`: by how a frame is made of an entry.

    `is_made_here`: some may be watching only because the call was made here.
    """

    __slots__ = ("choosy", "groups", "is_made_here")

    def __init__(self) -> None:
        self.groups: dict[Render, _Group] = {}
        self.choosy: set[Choosy] = set()
        self.is_made_here = False

    def all(self) -> list[Connected]:
        outlets = [one for group in self.groups.values() for one in group.outlets]
        return [*outlets, *self.choosy]

    def forget(self, watcher: Watcher) -> None:
        self.choosy.discard(watcher)  # if it is of that kind
        for render, group in tuple(self.groups.items()):
            if group.outlets.pop(watcher, None) and not group.outlets:  # type: ignore[call-overload]
                del self.groups[render]


def _bare(entry: TailEntry) -> bytes:
    """Make a frame as Stream's own protocol has it: the body, byte for byte."""
    return text_frame(entry.body)


def _relay(outlets: Mapping[Relayed, Outlet], data: bytes) -> None:
    for outlet in outlets.values():
        outlet.relay(data)


class Hub:
    """A `Sink` of the tail's."""

    def __init__(
        self,
        connections: Connections,
        metrics: Metrics,
        *,
        leaving: Leaving | None = None,
        waiting: Waiting | None = None,
    ) -> None:
        """`leaving`: who shuts out whom an event shuts out.

        `waiting`: who waits for an event that names him.
        """
        self._leaving, self._waiting = leaving, waiting
        self._connections = connections
        self._audiences: dict[tuple[str, str | None], _Audience] = {}
        self._touched: list[_Group] = []
        self._choosy: set[Choosy] = set()  # that were offered something in this page
        self._everybody: set[Choosy] = set()
        self._accepted_ms: list[int] = []
        self._delay = metrics.feed_seconds
        self._frames, self._bytes = metrics.feed_frames, metrics.feed_bytes
        self._seldom = Seldom()
        metrics.feed_calls.track(read=lambda: len(self._audiences))

    # ---- who watches

    def relay(self, watcher: Relayed, calls: Iterable[str], render: Render = _bare) -> None:
        """Have all events of `calls` written to `watcher` from now on, each as `render` makes it.

        The order of events is kept within a call, not between calls.
        """
        for cid in calls:
            audience = self._audience(watcher.app, cid)
            audience.choosy.discard(watcher)  # if it was of that kind
            audience.groups.setdefault(render, _Group()).outlets[watcher] = watcher.outlet
            audience.is_made_here |= cid in watcher.made_here
            watcher.calls.add(cid)

    def watch(self, watcher: Choosy, calls: Iterable[str]) -> None:
        """Have all events of `calls` offered to `watcher` from now on."""
        self._everybody.add(watcher)
        for cid in calls:
            audience = self._audience(watcher.app, cid)
            audience.forget(watcher)
            audience.is_made_here |= cid in watcher.made_here
            audience.choosy.add(watcher)

    def unwatch(self, watcher: Relayed | Choosy, calls: Iterable[str]) -> None:
        for cid in calls:
            key = watcher.app, cid
            audience = self._audiences.get(key)
            if audience is None:
                continue
            audience.forget(watcher)
            if not audience.groups and not audience.choosy:
                del self._audiences[key]

    def leave(self, watcher: Relayed | Choosy) -> None:
        self.unwatch(watcher, watcher.calls)
        self._everybody.discard(watcher)

    def _audience(self, app: str, cid: str) -> _Audience:
        return self._audiences.setdefault((app, cid), _Audience())

    # ---- what the tail brings

    def offer(self, entry: TailEntry) -> None:
        meta = entry.meta
        self._see_streams(entry)
        self._tell_others(entry)
        audience = self._audiences.get((meta.app, meta.call_cid))
        is_calling = meta.type in CALLING_TYPES
        if (audience is None and not is_calling) or not self._is_text(entry):
            self._see_who_leaves(entry)
            return
        if audience is not None:
            self._accepted_ms.append(meta.accepted_ms)
            for render, group in audience.groups.items():
                if not group.frames:
                    self._touched.append(group)
                group.frames.append(render(entry))
            for watcher in tuple(audience.choosy):  # one that is full leaves at once
                watcher.offer(entry)
            self._choosy |= audience.choosy
            if self._leaving is not None and (meta.type in LEAVING_TYPES or has_blocked(entry)):
                for group in audience.groups.values():
                    self._write(group)  # whoever leaves gets this one, and no other
        self._see_who_leaves(entry)
        if is_calling and meta.call_cid is not None:
            self._call(meta.app, meta.call_cid, entry.body, _bare(entry))

    def _see_streams(self, entry: TailEntry) -> None:
        """See who watches a call that so far was made here alone, now that Stream tells of it."""
        audience = self._audiences.get((entry.meta.app, entry.meta.call_cid))
        if audience is None or self._leaving is None or entry.meta.source == MADE_HERE:
            return
        if entry.meta.type == CREATED or audience.is_made_here:
            for group in audience.groups.values():
                self._write(group)  # of before, to whoever may be set aside
            audience.is_made_here = False
            self._leaving.see_streams(entry, audience.all())

    def _tell_others(self, entry: TailEntry) -> None:
        """Tell of an entry those who wait: set aside from its call, or for a call to begin."""
        if self._leaving is not None and self._leaving.doubts:
            self._leaving.passing(entry)
        if self._waiting is not None and self._waiting.taken:
            self._waiting.heard(entry)

    def _see_who_leaves(self, entry: TailEntry) -> None:
        if self._leaving is None:
            return
        if entry.meta.type == DELETED:
            audience = self._audiences.get((entry.meta.app, entry.meta.call_cid))
            self._leaving.see_deleted(entry, () if audience is None else audience.all())
        elif entry.meta.type in LEAVING_TYPES:
            self._leaving.take(entry)
        elif entry.meta.type in COMING_TYPES:
            self._leaving.welcome(entry)
        if has_blocked(entry):
            self._leaving.see_blocked(entry)

    def _is_text(self, entry: TailEntry) -> bool:
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
            if self._leaving is not None and self._leaving.is_not_to_ring(app, cid, user_id):
                continue
            for one in self._connections.of_user(app, user_id):
                one.called(cid, frame)

    def flush(self) -> None:
        for group in self._touched:
            self._write(group)
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

    def _write(self, group: _Group) -> None:
        """Write what waits for a group; nothing where it was written before its page ended."""
        if not group.frames:
            return
        frames, group.frames = group.frames, []
        data, count = b"".join(frames), len(group.outlets)
        (native.relay or _relay)(group.outlets, data)
        self._frames.add(by=len(frames) * count)
        self._bytes.add(by=len(data) * count)

    def missed(self, shards: Iterable[int]) -> None:
        lost = list(shards)
        for watcher in tuple(self._everybody):
            watcher.missed(lost)
            watcher.flush()
