"""Room for one more connection: within the configured bound, and within the limit of open files.

Whoever makes room makes it for one. Who they are is worked out for many at once, because looking
at all costs; each is looked at again before its turn. One that has something unread is passed over
if another can be found, for it is about to be heard; and not touched if it never was. So whoever
comes with a request is heard, however many others come.
"""

import logging
import time
from collections import deque
from collections.abc import Collection
from typing import TYPE_CHECKING

from gateway.ingest.eviction import HANDSHAKE_S, EvictionRank, by_turn, turn
from gateway.ingest.unread import has_unread
from gateway.logs import log
from gateway.metrics import Metrics
from gateway.open_files import FileRoom, kept

if TYPE_CHECKING:
    from gateway.ingest.listener_state import OpenConnection

_log = logging.getLogger("gateway.ingest")
_COST = 4  # a look is paid for by as many times what it took: no crowd makes us look all the time
_CREDIT_S = 1.0  # and may be paid for as much later
_KNOWN_S = 1.0  # how long a look is good for
_SHARE, _FOUND = 2, 64  # of all connections, how many one look finds at most; or as many
_PASSED_OVER = 8  # before one of them is taken
_OVER_S = 60.0  # without a shortage: then it is over


class Capacity:
    """Says who may come, and has others make room for them."""

    def __init__(
        self,
        most: int,
        files: FileRoom,
        opened: "Collection[OpenConnection]",
        lingering: "Collection[OpenConnection]",
        metrics: Metrics,
        *,
        is_tls: bool = False,
    ) -> None:
        """At most `most` may be `opened`; the `lingering` have a file, but no place."""
        self._is_tls, self._handshake_s = is_tls, HANDSHAKE_S if is_tls else 0.0
        self._most, self._files, self._metrics = most, files, metrics
        self._open, self._lingering = opened, lingering
        self._known: deque[tuple[OpenConnection, EvictionRank]] = deque()
        self._looked_at = -_KNOWN_S
        self._paid_at = 0.0  # when all looks are paid for
        self._short_at: float | None = None  # of files, last
        self._newest = 0  # descriptor

    def admits(self, descriptor: int) -> bool:
        """Tell whether a connection with this descriptor may come; another may have made room."""
        self._newest = descriptor
        is_short = self._is_short(self._files.senders_below)
        if is_short:
            self._tell_shortage()
        elif len(self._open) < self._most:
            return True
        if self._make(speaks=not self._is_tls and has_unread(descriptor)):
            return True
        self._metrics.connections_refused.add("too_many")
        return False

    def has_file_to_keep(self) -> bool:
        """Tell whether a watcher may stay, whose connection is no sender's any more."""
        if not self._is_short(self._files.watchers_below):
            return True
        self._tell_shortage()
        return False

    def _is_short(self, below: int) -> bool:
        """Tell whether connections have as many files as they may, or there are hardly any left."""
        watchers = sum(number for _, number in self._metrics.feed_connections.rows())
        held = len(self._open) + len(self._lingering) + int(watchers)
        return self._files.used + held >= below or self._newest >= self._files.edge

    def _make(self, *, speaks: bool) -> bool:
        """End one that may make room; `speaks`: for one who has said something already."""
        now = time.perf_counter()
        if now - self._looked_at > _KNOWN_S:
            self._known.clear()
        found = self._next(now)
        if found is None and now >= self._paid_at - (_CREDIT_S if speaks else _CREDIT_S / 2):
            self._look(now)
            found = self._next(now)
        if found is None:
            found = self._next(now, passed_over=True)
        if found is None:
            return False
        one, was = found
        self._metrics.connections_refused.add(_reason(was))
        one.cut_off()
        return True

    def _next(
        self, now: float, *, passed_over: bool = False
    ) -> "tuple[OpenConnection, EvictionRank] | None":
        """Return the next of those known whose turn it is still; `passed_over`: whatever it has
        said since.
        """
        passed: list[tuple[OpenConnection, EvictionRank]] = []
        found = None
        while self._known and found is None and len(passed) < _PASSED_OVER:
            one, was = each = self._known.popleft()
            standing = one.standing if one in self._open else None
            if standing is None or turn(standing, now, self._handshake_s) is None:
                continue
            if standing.unheard and one.has_unread():
                continue
            if passed_over or _is_still(one, standing, was):
                found = one, standing
            else:
                passed.append(each)
        self._known.extendleft(reversed(passed))
        return found

    def _look(self, now: float) -> None:
        most = max(_FOUND, len(self._open) // _SHARE)
        self._known = deque(by_turn(self._open, now, most, self._handshake_s))
        self._looked_at = now
        self._paid_at = max(self._paid_at, now) + _COST * (time.perf_counter() - now)

    # ---- what is told

    def _tell_shortage(self) -> None:
        if self._short_at is None:
            log(
                _log,
                logging.WARNING,
                "open files run short: connections of strangers make room, new watchers are turned"
                " away. Allow more (ulimit -Hn, LimitNOFILE=, --ulimit nofile=)",
                limit=self._files.limit,
                connections=len(self._open),
            )
        self._short_at = time.perf_counter()

    def tick(self) -> None:
        """Tell when a shortage is over; called several times a second."""
        kept.fill()
        if self._short_at is not None and time.perf_counter() - self._short_at > _OVER_S:
            self._short_at = None
            log(_log, logging.INFO, "open files suffice again", limit=self._files.limit)


def _is_still(one: "OpenConnection", standing: EvictionRank, was: EvictionRank) -> bool:
    """Tell whether nothing has come of it since it was found."""
    if standing.busy:
        return True
    if standing.since != was.since or (standing.received is None) != (was.received is None):
        return False
    return standing.received is not None or not one.has_unread()


def _reason(was: EvictionRank) -> str:
    if was.busy:
        return "busy"
    return "silent" if was.received is None else "slow"
