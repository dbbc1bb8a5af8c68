"""Whom an event shuts out of its call, and that it is the last one that they get.

Decided while the event passes, before the next one of its batch: it needs no state, and so waits
for none. Who is blocked, or a member no more, watches the call no longer; its creator may stay.
Where the event does not say who that is, such a watcher is set aside with what comes meanwhile,
until the call's state has been asked. A call that a token names is open to its bearer until he is
blocked.

A deletion is the last for everybody: of a call that is made anew under the name, he hears who may
watch that one, and asks for it.

Anybody may make a call here, under any name. Once Stream tells of one of that name, by whatever
event, who watches it and is not named by that is set aside in the same way, before the event: it
is not his call.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Iterable, Sequence
from typing import Any, NamedTuple

from gateway.calls.state import CROWD_MOVES, DELETED, SAYS_NOTHING
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.event_body import read_event
from gateway.feed.connections import Connected, Connections
from gateway.feed.members import blocked_by, members_of, named_by
from gateway.feed.shut_out import REMEMBERED_S, ShutOut
from gateway.logs import Seldom
from gateway.options import KIB
from gateway.store.states.call_documents import User
from gateway.store.watching.tail import TailEntry

BLOCKED, REMOVED = "call.blocked_user", "call.member_removed"
LEAVING_TYPES = frozenset((BLOCKED, REMOVED, DELETED))
UNBLOCKED = "call.unblocked_user"
CREATED = "call.created"
COMING_TYPES = frozenset(("call.member_added", CREATED, UNBLOCKED))
_BLOCKED_IDS, _NOBODY_BLOCKED = b'"blocked_user_ids"', b'"blocked_user_ids":[]'
_MOST_DOUBTS = 1000  # beyond it nobody is asked about
_DOUBT_BYTES = 256 * KIB  # what comes meanwhile; beyond it the watcher comes back by itself
_AGAIN_S = 0.5
_SILENT = SAYS_NOTHING | CROWD_MOVES  # types by which no state is asked for anew
_logger = logging.getLogger(__name__)

Call = tuple[str, str]  # app and call_cid
# (app, calls, user) -> how each names the user now; None: not at all. Raises `EngineUnavailable`.
Names = Callable[[str, Sequence[str], str], Awaitable[list[User | None]]]


class _Doubt(NamedTuple):
    """Watchers of a user of whom an event does not say enough, and what has come meanwhile.

    `kind`: the type of event that would shut him out.
    """

    call: Call
    user_id: str
    kind: str
    watchers: list[Connected]
    entries: list[TailEntry]


class Leaving:
    """The hub tells it of events; `run` it beside."""

    def __init__(
        self,
        names: Names,
        connections: Connections,
        *,
        open_apps: Container[str],
        by_state: bool,
        asking_s: float = REMEMBERED_S,
    ) -> None:
        """`open_apps`: the API keys whose every user may watch, unless he is blocked.

        `by_state`: we decide who may watch, not Stream. `asking_s`: as long as asking may take.
        """
        self._open_apps, self._by_state = open_apps, by_state
        self._names, self._connections = names, connections
        self._out = ShutOut(asking_s)
        self._asked: asyncio.Queue[_Doubt] = asyncio.Queue(_MOST_DOUBTS)
        self.doubts: dict[Call, list[_Doubt]] = {}
        self._seldom = Seldom()

    def is_out(
        self,
        app: str,
        call_cid: str,
        user_id: str | None,
        *,
        granted: bool = False,
        asked_s: float | None = None,
    ) -> bool:
        """Tell whether an event has shut a user out of a call since it was asked for him.

        `granted`: the token names the call. `asked_s`: monotonic; without it: of late.
        """
        if user_id is None:
            return False
        may_watch_any = granted or app in self._open_apps
        if not may_watch_any and self._out.was_deleted(app, call_cid, asked_s):
            return True
        kinds = self._out.by_what(app, call_cid, user_id, asked_s)
        return bool(kinds - {REMOVED} if granted else kinds)

    def is_not_to_ring(self, app: str, call_cid: str, user_id: str) -> bool:
        """Tell whether events that name a user, whom they call, are not for him."""
        return self._by_state and bool(self._out.by_what(app, call_cid, user_id))

    # ---- what the hub tells

    def take(self, entry: TailEntry) -> None:
        """Shut out whom a removal or a block names; it has been written to them."""
        meta = entry.meta
        if meta.call_cid is None or (meta.type == REMOVED and meta.app in self._open_apps):
            return
        said = left_by(meta.type, entry.body)
        for user_id in said.users:
            if meta.type == BLOCKED or said.creator not in (None, user_id):
                self._shut_out(meta.app, meta.call_cid, user_id, meta.type)
            elif said.creator is None:
                self._ask(meta.app, meta.call_cid, user_id, REMOVED)

    def see_deleted(self, entry: TailEntry, watching: Iterable[Connected]) -> None:
        """End all watching of a call that is no more; that has been written to them."""
        app, cid = entry.meta.app, entry.meta.call_cid
        if cid is None:
            return
        self._out.add_deleted(app, cid)
        aside = [one for doubt in self.doubts.get((app, cid), ()) for one in doubt.watchers]
        for one in {*watching, *aside}:
            if cid in one.calls:
                one.deleted(cid)

    def see_streams(self, entry: TailEntry, watching: Iterable[Connected]) -> None:
        """Set aside those of `watching` whom a call made here let in, and Stream's does not name.

        Before anything else is done with the event. By one that changes no state nothing can be
        asked: they are out.
        """
        meta, cid = entry.meta, entry.meta.call_cid
        if cid is None or not self._by_state or meta.app in self._open_apps:
            return
        suspects = set()
        for one in watching:
            if (meta.type == CREATED or cid in one.made_here) and one.user_id is not None:
                suspects.add(one.user_id)
            one.made_here.discard(cid)
        # Who did something in a call need not be named by it.
        named = named_by(entry.body) if meta.type == CREATED else members_of(entry.body)
        for user_id in suspects - named:
            if meta.type.startswith("call.") and meta.type not in _SILENT:
                self._ask(meta.app, cid, user_id, REMOVED)
            else:
                self._shut_out(meta.app, cid, user_id, REMOVED)

    def see_blocked(self, entry: TailEntry) -> None:
        """See whether those whom a call brought by an event has blocked watch it still.

        What it brings may be older than what is known, so that decides; by whichever right they
        watch.
        """
        meta = entry.meta
        if meta.call_cid is None:
            return
        for user_id in blocked_by(entry.body):
            if self._watchers(meta.app, meta.call_cid, user_id, BLOCKED):
                self._ask(meta.app, meta.call_cid, user_id, BLOCKED)

    def welcome(self, entry: TailEntry) -> None:
        """Know whom an event of `COMING_TYPES` lets in again."""
        meta = entry.meta
        if meta.call_cid is None:
            return
        is_unblocked = meta.type == UNBLOCKED
        for user_id in named_by(entry.body) if is_unblocked else members_of(entry.body):
            kind = BLOCKED if is_unblocked else REMOVED
            self._out.forget(meta.app, meta.call_cid, user_id, kind)

    def passing(self, entry: TailEntry) -> None:
        """Keep an event for those who were set aside from its call: while there are `doubts`."""
        meta = entry.meta
        for one in tuple(self.doubts.get((meta.app, meta.call_cid or ""), ())):
            one.entries.append(entry)
            if sum(len(each.body) for each in one.entries) > _DOUBT_BYTES:
                for watcher in one.watchers:
                    watcher.come_again()
                one.watchers.clear()
                one.entries.clear()

    # ---- who is out

    def _shut_out(self, app: str, cid: str, user_id: str, kind: str) -> None:
        self._out.add(app, cid, user_id, kind)
        for one in tuple(self._connections.of_user(app, user_id)):
            if cid in one.calls and (kind == BLOCKED or cid not in one.granted):
                one.barred(cid)

    # ---- who may be the creator, or blocked no more

    def _ask(self, app: str, cid: str, user_id: str, kind: str) -> None:
        watchers = self._watchers(app, cid, user_id, kind)
        one = _Doubt((app, cid), user_id, kind, watchers, [])
        if self._asked.full():
            self._shut_out(app, cid, user_id, kind)  # who may watch after all can ask to
            return
        for watcher in watchers:
            watcher.set_aside(cid)
        self._out.add(app, cid, user_id, kind)
        self.doubts.setdefault(one.call, []).append(one)
        self._asked.put_nowait(one)

    def _watchers(self, app: str, cid: str, user_id: str, kind: str) -> list[Connected]:
        """Return whom an event of this type would shut out."""
        return [
            one
            for one in self._connections.of_user(app, user_id)
            if cid in one.calls and (kind == BLOCKED or cid not in one.granted)
        ]

    async def run(self) -> None:
        """Ask whether those who were set aside may stay, until cancelled."""
        while True:
            one = await self._asked.get()
            self._settle(one, await self._named(one))

    async def _named(self, one: _Doubt) -> User | None:
        app, cid = one.call
        while True:
            try:
                return (await self._names(app, [cid], one.user_id))[0]
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log("who", _logger, "cannot see who left a call", reason=str(error))
                await asyncio.sleep(_AGAIN_S)

    def _settle(self, one: _Doubt, named: User | None) -> None:
        rest = self.doubts[one.call]
        rest.remove(one)
        if not rest:
            del self.doubts[one.call]
        app, cid = one.call
        is_blocked, may_watch = named is not None and named.is_blocked, named and named.may_watch
        if may_watch or (one.kind == BLOCKED and not is_blocked):
            self._out.forget(app, cid, one.user_id, one.kind)
        open_now = set(self._connections.of_user(app, one.user_id))
        for watcher in one.watchers:
            if watcher not in open_now or cid not in watcher.calls:
                continue
            needs_no_name = cid in watcher.granted or app in self._open_apps
            needs_no_name |= one.kind == BLOCKED and not self._by_state  # Stream let him in
            if may_watch or (needs_no_name and not is_blocked):
                watcher.taken_back(cid, one.entries)
            else:
                watcher.barred(cid)


def has_blocked(entry: TailEntry) -> bool:
    """Tell whether an event may bring a call that has blocked somebody."""
    if not entry.meta.type.startswith("call."):
        return False
    return entry.body.count(_BLOCKED_IDS) > entry.body.count(_NOBODY_BLOCKED)


class Left(NamedTuple):
    """Whom an event shuts out; `creator` of the call, None where the event does not say."""

    users: list[str]
    creator: str | None


def left_by(kind: str, body: bytes) -> Left:
    """Read an event of `LEAVING_TYPES`, as whoever keeps the states does: part by part."""
    said = read_event(body)
    told = said.get("members") if kind == REMOVED else [_object(said.get("user")).get("id")]
    users = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
    creator = _object(_object(said.get("call")).get("created_by")).get("id")
    return Left(users, creator if isinstance(creator, str) and creator else None)


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
