"""Who is connected, by connection and by user, and how many may be.

Sockets of watchers have a budget of their own, beside that of the listener: a crowd must not keep
webhooks out. It counts from the upgrade on, before anybody has said who they are.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.calls.errors import TOO_MANY_CONNECTIONS, StreamError
from gateway.feed.liveness import who_is_gone
from gateway.options import FeedOptions
from gateway.store.watching.tail import TailEntry


class Connected(Protocol):
    """A connection whose user is known. A server's has none."""

    @property
    def app(self) -> str: ...
    @property
    def user_id(self) -> str | None: ...
    @property
    def connection_id(self) -> str: ...
    @property
    def calls(self) -> set[str]:
        """What is watched."""

    @property
    def granted(self) -> frozenset[str]:
        """Calls that the token names: only a block shuts out of these."""

    @property
    def made_here(self) -> set[str]:
        """Calls that may be watched until Stream tells of one of that name."""

    def called(self, call_cid: str, frame: bytes) -> None:
        """Take an event of a call that rings for this user, unless it is watched anyway."""

    def barred(self, call_cid: str) -> None:
        """Watch a call no longer: its user may not any more."""

    def deleted(self, call_cid: str) -> None:
        """Watch a call no longer: it is no more."""

    def set_aside(self, call_cid: str) -> None:
        """Get nothing of a watched call for now; `barred` or `taken_back` follows."""

    def taken_back(self, call_cid: str, entries: Sequence[TailEntry]) -> None:
        """Watch a call again, of which `entries` have come meanwhile."""

    def come_again(self) -> None:
        """End, in a way that makes the client come back."""

    def probe(self) -> None:
        """Write something that has to be acknowledged."""

    def unacknowledged_bytes(self) -> int | None:
        """Return what was written and has not arrived; None where that cannot be known."""

    def cut_off(self) -> None:
        """End without a word: nobody is there."""


class Connections:
    """All connections of this process."""

    def __init__(self, options: FeedOptions) -> None:
        self._options, self._most_of_user = options, options.max_connections_per_user
        self._by_id: dict[str, Connected] = {}
        self._by_user: dict[tuple[str, str], set[Connected]] = {}
        self._looking: dict[tuple[str, str], asyncio.Future[None]] = {}  # whose ends we look for
        self.open = 0  # also those that have not said who they are

    @property
    def is_full(self) -> bool:
        return self.open >= self._options.max_connections

    def find(self, connection_id: str) -> Connected | None:
        return self._by_id.get(connection_id)

    def of_user(self, app: str, user_id: str) -> Iterable[Connected]:
        return self._by_user.get((app, user_id), ())

    def all(self) -> list[Connected]:
        return list(self._by_id.values())

    async def make_room(self, app: str, user_id: str | None) -> None:
        """Where a user has all that he may have, let go those that nobody reads any more.

        Takes a second then; whoever asks meanwhile waits for the same. Others are not concerned.
        """
        if user_id is None or len(self._by_user.get((app, user_id), ())) < self._most_of_user:
            return
        await asyncio.shield(self.look_for_room(app, user_id))

    def look_for_room(self, app: str, user_id: str) -> asyncio.Future[None]:
        """Begin to `make_room` for a user, or go on with it."""
        key = app, user_id
        looking = self._looking.get(key)
        if looking is None:
            looking = self._looking[key] = asyncio.ensure_future(self._let_go_the_dead(key))
            looking.add_done_callback(lambda _: self._looking.pop(key, None))
        return looking

    async def _let_go_the_dead(self, key: tuple[str, str]) -> None:
        for one in await who_is_gone(tuple(self._by_user.get(key, ()))):
            one.cut_off()
            self.leave(one)

    def enter(self, one: Connected) -> None:
        """Add a connection whose user is known. Raises `StreamError` 71 when it has too many."""
        if one.user_id is not None:
            own = self._by_user.setdefault((one.app, one.user_id), set())
            if len(own) >= self._most_of_user:
                raise StreamError(
                    TOO_MANY_CONNECTIONS, 429, "this user has too many connections already"
                )
            own.add(one)
        self._by_id[one.connection_id] = one

    def leave(self, one: Connected) -> None:
        """Forget a connection; one that never entered is none."""
        if self._by_id.pop(one.connection_id, None) is None or one.user_id is None:
            return
        own = self._by_user.get((one.app, one.user_id), set())
        own.discard(one)
        if not own:
            self._by_user.pop((one.app, one.user_id), None)
