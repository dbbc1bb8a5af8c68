"""A connection of Stream's own SDK: its token first, then signs of life and events.

No task and no wait: it is told what was received and answers at once. What it refuses it says in
Stream's words before it closes. Once the user is known it is in `Connections`, by its id, and the
SDK's requests say by that id what it wants to watch.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity, Tokens
from gateway.clock import now_ms
from gateway.feed.connection_ids import ConnectionIds
from gateway.feed.connections import Connections
from gateway.feed.hub import Hub, Outlet
from gateway.feed.leaving import Leaving
from gateway.feed.liveness import unacknowledged_bytes
from gateway.feed.sdk import messages
from gateway.feed.sdk.messages import UserDetails
from gateway.feed.websocket.connection import SocketConnection
from gateway.feed.websocket.frames import INTERNAL, POLICY, TRY_LATER, text_frame
from gateway.metrics import Metrics
from gateway.options import FeedOptions
from gateway.store.watching.tail import Tail, TailEntry

# Of the range that RFC 6455 leaves to applications: the SDK comes back, and is told by code 40
# to fetch a new token first.
_EXPIRED = 4001
_LONGEST_TIMER_S = 30 * 86400.0  # a token that lives longer is looked at again then


@dataclass(frozen=True, slots=True)
class SdkParts:
    """What all connections of a process share."""

    options: FeedOptions
    tokens: Tokens
    connections: Connections
    hub: Hub
    tail: Tail
    names: ConnectionIds
    metrics: Metrics
    leaving: Leaving


class SdkWatcher:
    """A `Receiver`; a `Verbatim` watcher once it is connected."""

    __slots__ = (
        "_api_key",
        "_connection",
        "_expires_s",
        "_others",
        "_parts",
        "_timer",
        "app",
        "calls",
        "connection_id",
        "granted",
        "made_here",
        "outlet",
        "user_id",
    )
    app: str
    user_id: str | None
    outlet: Outlet

    def __init__(
        self,
        parts: SdkParts,
        connection: SocketConnection,
        api_key: str | None,
        others: "set[SdkWatcher]",
    ) -> None:
        """`others`: all that are open, itself among them from now until it is lost."""
        self._parts, self._connection, self._api_key = parts, connection, api_key
        self._others = others
        others.add(self)
        self.connection_id = ""  # none yet
        self.calls: set[str] = set()
        self.granted: frozenset[str] = frozenset()
        self.made_here: set[str] = set()
        self.outlet = connection
        self._expires_s: float | None = None
        self._timer = self._later(parts.options.handshake_timeout_s, self._too_slow)
        parts.connections.open += 1
        parts.tail.join()

    # ---- what the connection tells

    def received(self, text: bytes) -> None:
        if not self.connection_id:
            try:
                self._connect(text)
            except StreamError as error:
                self._refuse(error)
        elif messages.is_health_check(text):
            self.show_life()

    def overflowed(self) -> None:
        self.close(TRY_LATER, "slow")

    def lost(self) -> None:
        self._timer.cancel()
        self._others.discard(self)
        self._parts.connections.open -= 1
        self._parts.tail.leave()
        if self.connection_id:
            self._parts.hub.leave(self)
            self._parts.connections.leave(self)

    # ---- its beginning

    def _connect(self, text: bytes) -> None:
        hello = messages.read_hello(text)
        identity = self._parts.tokens.verify(self._api_key, hello.token, now_ms() / 1000)
        user = hello.user_details or UserDetails()
        if identity.user_id is None or user.id not in (None, identity.user_id):
            raise StreamError(5, 401, "the token is not that of the user who connects")
        self.app, self.user_id = identity.app, identity.user_id
        self.granted = identity.call_cids
        self.connection_id = self._parts.names.new()
        try:
            self._parts.connections.enter(self)
        except StreamError:
            self.connection_id = ""
            # An SDK tries again by itself: by then those that nobody reads any more are gone.
            self._parts.connections.look_for_room(self.app, self.user_id)
            raise
        self._timer.cancel()
        self._watch_expiry(identity)
        said = messages.connected(
            self.connection_id, identity.user_id, identity.role, user, now_ms()
        )
        self._connection.write(said)

    def _watch_expiry(self, identity: Identity) -> None:
        self._expires_s = identity.expires_s
        if identity.expires_s is not None:
            left_s = identity.expires_s - now_ms() / 1000
            self._timer = self._later(min(left_s, _LONGEST_TIMER_S), self._expire)

    def _expire(self) -> None:
        assert self._expires_s is not None
        left_s = self._expires_s - now_ms() / 1000
        if left_s > 0:
            self._timer = self._later(min(left_s, _LONGEST_TIMER_S), self._expire)
        else:
            self.close(_EXPIRED, "token expired")

    def _too_slow(self) -> None:
        self._refuse(StreamError(23, 408, "no token has come in time"))

    def _refuse(self, error: StreamError) -> None:
        self._parts.metrics.feed_refused.add(str(error.code))
        self._connection.write(messages.refused(error, now_ms()))
        self._connection.close(POLICY if error.status < 500 else INTERNAL, error.message[:100])

    @staticmethod
    def _later(delay_s: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(max(0.0, delay_s), act)

    # ---- its life

    def called(self, call_cid: str, frame: bytes) -> None:
        if call_cid not in self.calls:
            self._connection.write(frame)

    def barred(self, call_cid: str) -> None:
        self._parts.hub.unwatch(self, (call_cid,))
        self.calls.discard(call_cid)
        self.made_here.discard(call_cid)

    deleted = barred  # an SDK knows by the event

    def set_aside(self, call_cid: str) -> None:
        self._parts.hub.unwatch(self, (call_cid,))

    def taken_back(self, call_cid: str, entries: Sequence[TailEntry]) -> None:
        for entry in entries:
            self._connection.write(text_frame(entry.body))
        self._parts.hub.relay(self, (call_cid,))

    def come_again(self) -> None:
        self.close(TRY_LATER, "members")

    def probe(self) -> None:
        self._connection.probe()

    def unacknowledged_bytes(self) -> int | None:
        return unacknowledged_bytes(self._connection.transport)

    def cut_off(self) -> None:
        self._connection.transport.abort()

    def show_life(self) -> None:
        self._connection.write(messages.health_check(self.connection_id, now_ms()))

    def ping(self) -> None:
        """Show that we live, and see whether the other side does."""
        if self._connection.ping() and self.connection_id:
            self.show_life()

    def close(self, code: int, reason: str) -> None:
        self._parts.metrics.feed_let_go.add(reason)
        self._connection.close(code, reason)
