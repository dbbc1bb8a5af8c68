"""What all connections of one listener share: terms, limits, and the register of who is open."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

from gateway import native
from gateway.event import Event
from gateway.ingest.answers import STORED, Reply, Wire
from gateway.ingest.inlet import Inlet
from gateway.ingest.reception import Reception
from gateway.metrics import Metrics
from gateway.options import ServerOptions

# How long, and for how many at once, we read on and throw away after an answer that came before
# the end of the request. A socket closed with unread bytes is reset, and the answer with it.
LINGER_S = 1.0
MAX_HEAD_BYTES = 16 << 10
STORED_LABEL = (str(STORED.status),)
MAX_LINGERING = 256
_LOOK_S = 0.05  # after nobody was found who is silent
_ROOM_SHARE = 8  # of all connections, how many make room at once: looking costs a little


class Connection(Protocol):
    """What the listener asks of an open connection, whoever speaks on it."""

    @property
    def silent_since(self) -> float | None:
        """When it was opened, if it has not said a word yet; by time.perf_counter()."""

    def sweep(self, now: float) -> None:
        """Enforce the deadlines; `now` is time.perf_counter()."""

    def drain(self) -> None:
        """Close if idle; else close after the answers that are due."""

    def abort(self) -> None:
        """Close at once."""


# Gives a connection away: its transport, the bytes of a request read so far, and when the first
# of them came.
HandOver = Callable[[asyncio.Transport, bytes, float], None]

# Takes a plain request whole: (data, start, request_line, max_head_bytes, max_body_bytes, now_ms)
# to its length and event, no event if its signature is nobody's; None: not the plain case. See
# `gateway.native`.
TakePlain = Callable[[bytes, int, bytes, int, int, int], tuple[int, Event | None] | None]


@dataclass(slots=True, kw_only=True)
class Surroundings:
    server: ServerOptions
    reception: Reception
    metrics: Metrics
    wire: Wire
    request_line: bytes  # of a webhook, with its line end
    hand_over: HandOver
    keyring: native.Keyring | None = None
    max_body_bytes: int = field(init=False)
    submit: Callable[[Event, Reply], None] = field(init=False)
    take: TakePlain | None = field(init=False)
    receiver: native.Receiver | None = field(init=False)
    inlet: Inlet | None = field(init=False)
    counted: dict[tuple[str, ...], float] = field(init=False)  # answers, by status
    open: set[Connection] = field(default_factory=set)
    lingering: set[Connection] = field(default_factory=set)
    look_at: float = 0.0  # when it is worth looking again for who is silent
    draining: bool = False
    emptied: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.max_body_bytes = self.reception.options.max_body_bytes
        self.submit, self.inlet = self.reception.submit, self.reception.intake.inlet
        self.counted = self.metrics.webhooks.values
        self.counted.setdefault(STORED_LABEL, 0)
        self.take = self.keyring.take if self.keyring else None
        self.receiver = self._receiver(self.keyring) if self.keyring else None
        self.tick()

    def _receiver(self, keyring: native.Keyring) -> native.Receiver:
        intake = self.reception.intake
        receiver = native.receiver(
            keyring, self.request_line, MAX_HEAD_BYTES, self.max_body_bytes,
            intake.events, intake.replies, intake.read_ats, intake.begin,
            self.counted, STORED_LABEL,
        )  # fmt: skip
        receiver.sockets = self.inlet.sockets if self.inlet else None
        return receiver

    def tick(self) -> None:
        """Follow the clock: answers bear a date."""
        self.wire.tick(time.time())
        if self.receiver is not None:
            self.receiver.stored = None if self.draining else self.wire.stored

    def drain(self) -> None:
        """From now on every answer says that its connection ends."""
        self.draining = True
        self.tick()

    def has_room(self) -> bool:
        """Tell whether one more may be open. Who has been silent for longest makes room.

        So a crowd that connects at once, before it has sent a byte, keeps nobody out who speaks.
        """
        most = self.server.max_connections
        if len(self.open) < most:
            return True
        now = time.perf_counter()
        if now < self.look_at:
            return False
        silent = [(since, one) for one in self.open if (since := one.silent_since) is not None]
        silent.sort(key=itemgetter(0))
        for _, one in silent[: max(1, most // _ROOM_SHARE)]:
            self.metrics.connections_refused.add("silent")
            one.abort()
            self.left(one)
        if not silent:
            self.look_at = now + _LOOK_S
        return bool(silent)

    def left(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.open.discard(connection)
        self.lingering.discard(connection)
        if not self.open:
            self.emptied.set()

    def joined(self, connection: Connection) -> None:
        self.open.add(connection)
        self.emptied.clear()
