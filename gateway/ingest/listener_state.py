"""What all connections of one listener share: terms, limits, and the register of who is open."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from gateway import native
from gateway.event import Event
from gateway.ingest.answers import STORED, Wire
from gateway.ingest.capacity import Capacity
from gateway.ingest.eviction import EvictionRank, slowest
from gateway.ingest.intake import Intake
from gateway.ingest.requests import MAX_HEAD_BYTES
from gateway.ingest.socket_reader import SocketReader
from gateway.ingest.webhooks import Webhooks
from gateway.metrics import Metrics
from gateway.open_files import FileRoom
from gateway.options import ServerOptions

# How long, and for how many at once, we read on and throw away after an answer that came before
# the end of the request. A socket closed with unread bytes is reset, and the answer with it.
LINGER_S = 1.0
STORED_LABEL = (str(STORED.status),)


class OpenConnection(Protocol):
    """What the listener asks of an open connection, whoever speaks on it."""

    @property
    def standing(self) -> EvictionRank | None:
        """How it stands; None while a signed request is under way."""

    @property
    def unfinished_bytes(self) -> int:
        """What it holds of a request that is not whole."""

    def has_unread(self) -> bool:
        """Tell whether something has come that was not read yet."""

    def cut_off(self) -> None:
        """End, and hold nothing from now on: an unfinished request with 408; with 503 what may
        have sent one that was not read.
        """

    def sweep(self, now: float) -> None:
        """Enforce the deadlines; `now` is time.perf_counter()."""

    def drain(self) -> None:
        """Close if idle; else close after the answers that are due."""

    def abort(self) -> None:
        """Close at once."""


class ConnectionPast(NamedTuple):
    """What is known of a connection that is given away; times by time.perf_counter()."""

    opened_at: float
    since: float  # the first bytes of its request
    signed_at: float  # when it last brought a signed request; 0: never


# Gives a connection away: its transport, the bytes of a request read so far, and its past.
HandOver = Callable[[asyncio.Transport, bytes, ConnectionPast], None]

# Takes a plain request whole: (data, start, request_line, max_head_bytes, max_body_bytes, now_ms)
# to its length and event, no event if its signature is nobody's; None: not the plain case. See
# `gateway.native`.
TakePlain = Callable[[bytes, int, bytes, int, int, int], tuple[int, Event | None] | None]


@dataclass(slots=True, kw_only=True)
class ListenerState:
    server: ServerOptions
    webhooks: Webhooks
    intake: Intake
    metrics: Metrics
    wire: Wire
    request_line: bytes  # of a webhook, with its line end
    hand_over: HandOver
    keyring: native.Keyring | None = None
    files: FileRoom = field(default_factory=FileRoom)
    room: Capacity = field(init=False)
    max_body_bytes: int = field(init=False)
    take: TakePlain | None = field(init=False)
    receiver: native.Receiver | None = field(init=False)
    socket_reader: SocketReader | None = field(init=False)
    counted: dict[tuple[str, ...], float] = field(init=False)  # answers, by status
    open: set[OpenConnection] = field(default_factory=set)
    lingering: dict[OpenConnection, None] = field(default_factory=dict)  # the oldest first
    max_unfinished_bytes: int = field(init=False)
    grown: int = 0  # of unfinished requests, since what they hold was added up
    grows_to: int = field(init=False)  # then it is added up again
    draining: bool = False
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.max_body_bytes = self.webhooks.options.max_body_bytes
        self.max_unfinished_bytes = max(self.server.max_unfinished_bytes, self.max_body_bytes)
        self.grows_to = self.max_unfinished_bytes
        self.room = Capacity(
            self.server.max_connections,
            self.files,
            self.open,
            self.lingering,
            self.metrics,
            is_tls=self.server.tls is not None,
        )
        self.socket_reader = self.intake.socket_reader
        self.counted = self.metrics.webhooks.values
        self.counted.setdefault(STORED_LABEL, 0)
        self.take = self.keyring.take if self.keyring else None
        self.receiver = self._receiver(self.keyring) if self.keyring else None
        self.tick()

    def _receiver(self, keyring: native.Keyring) -> native.Receiver:
        intake = self.intake
        receiver = native.receiver(
            keyring,
            self.request_line,
            MAX_HEAD_BYTES,
            self.max_body_bytes,
            intake.events,
            intake.replies,
            intake.read_ats,
            intake.begin,
            self.counted,
            STORED_LABEL,
        )
        receiver.sockets = self.socket_reader.sockets if self.socket_reader else None
        return receiver

    def tick(self) -> None:
        """Follow the clock: answers bear a date."""
        self.wire.tick(time.time())
        self.room.tick()
        if self.receiver is not None:
            self.receiver.stored = None if self.draining else self.wire.stored

    def drain(self) -> None:
        """From now on every answer says that its connection ends."""
        self.draining = True
        self.tick()

    def grew(self, size: int) -> None:
        """Count what was read of unfinished requests; bound what all of them hold together.

        Adding up costs, and so is done only when there may be too much.
        """
        self.grown += size
        if self.grown >= self.grows_to:
            self.bound_unfinished(time.perf_counter())

    def bound_unfinished(self, now: float) -> None:
        """Cut off the slowest strangers where unfinished requests hold too much."""
        most, held = self.max_unfinished_bytes, self._unfinished()
        if held >= most:
            for one in slowest(self.open, now, most - most // 8):
                self.metrics.connections_refused.add("slow")
                one.cut_off()
            held = self._unfinished()
        self.grown, self.grows_to = 0, max(most - held, most // 8)

    def _unfinished(self) -> int:
        return sum(one.unfinished_bytes for one in self.open)

    @property
    def may_linger(self) -> bool:
        return self.files.lingering > 0

    def left(self, connection: OpenConnection) -> None:
        """Forget a connection that is gone."""
        self.open.discard(connection)
        self.lingering.pop(connection, None)
        if not self.open:
            self.emptied.set()

    def linger(self, connection: OpenConnection) -> None:
        """Count a connection no longer whose last words are under way.

        Where as many are as may be, the oldest ends: it has had the longest time to hear them.
        """
        self.open.discard(connection)
        if connection not in self.lingering:
            while len(self.lingering) >= max(1, self.files.lingering):
                oldest = next(iter(self.lingering))
                del self.lingering[oldest]
                oldest.abort()
            self.lingering[connection] = None
        if not self.open:
            self.emptied.set()

    def joined(self, connection: OpenConnection) -> None:
        self.open.add(connection)
        self.emptied.clear()
