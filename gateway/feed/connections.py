"""Who is connected, by connection and by user, and how many may be.

Sockets of watchers have a budget of their own, beside that of the listener: a crowd must not keep
webhooks out. It counts from the upgrade on, before anybody has said who they are.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from gateway.calls.errors import TOO_MANY_CONNECTIONS, StreamError
from gateway.options import FeedOptions
from gateway.stream.tail import Entry


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

    def called(self, call_cid: str, frame: bytes) -> None:
        """Take an event of a call that rings for this user, unless it is watched anyway."""

    def barred(self, call_cid: str) -> None:
        """Watch a call no longer: its user may not any more."""

    def set_aside(self, call_cid: str) -> None:
        """Get nothing of a watched call for now; `barred` or `taken_back` follows."""

    def taken_back(self, call_cid: str, entries: Sequence[Entry]) -> None:
        """Watch a call again, of which `entries` have come meanwhile."""

    def come_again(self) -> None:
        """End, in a way that makes the client come back."""


class Connections:
    """All connections of this process."""

    def __init__(self, options: FeedOptions) -> None:
        self._options = options
        self._by_id: dict[str, Connected] = {}
        self._by_user: dict[tuple[str, str], set[Connected]] = {}
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

    def enter(self, one: Connected) -> None:
        """Add a connection whose user is known. Raises `StreamError` 71 when it has too many."""
        if one.user_id is not None:
            own = self._by_user.setdefault((one.app, one.user_id), set())
            if len(own) >= self._options.max_connections_per_user:
                raise StreamError(
                    TOO_MANY_CONNECTIONS, 429, "this user has too many connections already"
                )
            own.add(one)
        self._by_id[one.connection_id] = one

    def leave(self, one: Connected) -> None:
        """Forget a connection; one that never entered is none."""
        if self._by_id.pop(one.connection_id, None) is None or one.user_id is None:
            return
        own = self._by_user[one.app, one.user_id]
        own.discard(one)
        if not own:
            del self._by_user[one.app, one.user_id]
