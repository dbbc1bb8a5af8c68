"""Whoever is a member no more, or is blocked, watches the call no longer.

The event that says so is the last one that such a user gets. It is asked again a little later:
whoever came back before the call's state had the event is found then; but who is not blocked, and
has a token that names the call, may come back. Where others than the call's state decide who may
watch (Stream, or the app is open to all its users), being blocked alone counts here.
"""

import asyncio
import logging
from collections.abc import Container
from typing import NamedTuple

import msgspec

from gateway.errors import StreamRefused, StreamUnavailable
from gateway.feed.connections import Connections
from gateway.logs import Seldom
from gateway.stream.call_documents import User
from gateway.stream.call_store import CallStore
from gateway.stream.tail import Entry

BLOCKED, REMOVED = "call.blocked_user", "call.member_removed"
LEAVING_TYPES = frozenset((BLOCKED, REMOVED))
_MOST = 1000  # that wait to be looked at, now or later; beyond it nobody is asked about
_AGAIN_S = 5.0  # by then the call's state has the event
_logger = logging.getLogger(__name__)


class _User(msgspec.Struct, gc=False):
    id: str = ""


class _Body(msgspec.Struct, gc=False):
    user: _User | None = None
    members: list[str] = []


_decode = msgspec.json.Decoder(_Body).decode


def left_by(kind: str, body: bytes) -> list[str]:
    """Return whom an event shuts out of its call; none when it cannot be read."""
    try:
        said = _decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return []
    return said.members if kind == REMOVED else [said.user.id] if said.user else []


class _Left(NamedTuple):
    app: str
    call_cid: str
    user_id: str
    is_blocked: bool
    is_again: bool = False


class Leaving:
    """`take` every event of `LEAVING_TYPES`, once it is written; `run` it beside."""

    def __init__(
        self, calls: CallStore, connections: Connections, *, by_state: Container[str]
    ) -> None:
        """`by_state`: the API keys of which the calls' states decide; else only blocking counts."""
        self._calls, self._connections, self._by_state = calls, connections, by_state
        self._waiting: asyncio.Queue[_Left] = asyncio.Queue(_MOST)
        self._later = 0
        self._seldom = Seldom()

    def take(self, entry: Entry) -> None:
        meta = entry.meta
        is_blocked = meta.type == BLOCKED
        if meta.call_cid is None or not (is_blocked or meta.app in self._by_state):
            return
        for user_id in left_by(meta.type, entry.body):
            self._put(_Left(meta.app, meta.call_cid, user_id, is_blocked))

    async def run(self) -> None:
        """Look at who left, until cancelled."""
        while True:
            one = await self._waiting.get()
            await self._look_at(one)
            if not one.is_again and self._later < _MOST:
                self._later += 1
                again = one._replace(is_again=True)
                asyncio.get_running_loop().call_later(_AGAIN_S, self._put_again, again)

    def _put_again(self, one: _Left) -> None:
        self._later -= 1
        self._put(one)

    def _put(self, one: _Left) -> None:
        try:
            self._waiting.put_nowait(one)
        except asyncio.QueueFull:
            self._bar(one)  # who may watch after all can ask to

    async def _look_at(self, one: _Left) -> None:
        if one.is_blocked and not one.is_again:
            self._bar(one)
            return
        try:
            (user,) = await self._calls.users_of(one.app, [one.call_cid], one.user_id)
        except (StreamUnavailable, StreamRefused) as error:
            self._seldom.log("who", _logger, "cannot see who left a call", reason=str(error))
            if not one.is_again:
                self._bar(one)
            return
        if one.is_again:
            self._look_again(one, user)
        elif user is None or "c" not in user.flags:
            self._bar(one)

    def _look_again(self, one: _Left, user: User | None) -> None:
        if user is not None and user.is_blocked:
            self._bar(one)
        elif one.app in self._by_state and not (user is not None and user.may_watch):
            self._bar(one, but_granted=True)

    def _bar(self, one: _Left, *, but_granted: bool = False) -> None:
        """`but_granted`: not those whose token lets them into the call."""
        for connection in tuple(self._connections.of_user(one.app, one.user_id)):
            if not (but_granted and one.call_cid in connection.granted):
                connection.barred(one.call_cid)
