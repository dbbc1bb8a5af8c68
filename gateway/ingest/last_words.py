"""The last words to a connection whose next request will not be read.

What it sends is read on and thrown away for a moment: a socket that is closed with something
unread is reset, and the answer with it.
"""

import asyncio
from time import perf_counter

from gateway.ingest.answers import Answer
from gateway.ingest.eviction import EvictionRank
from gateway.ingest.listener_state import LINGER_S, ListenerState


class LastWords(asyncio.Protocol):
    """Takes the connection, and lingers. `ListenerState` counts it until it is gone."""

    __slots__ = ("_shared", "_since", "_transport")

    def __init__(self, transport: asyncio.Transport, shared: ListenerState) -> None:
        self._transport, self._shared = transport, shared
        self._since = perf_counter()

    def say(self, answer: Answer) -> None:
        transport = self._transport
        transport.set_protocol(self)
        self._shared.linger(self)
        transport.write(self._shared.wire.render(answer, close=True))
        if transport.can_write_eof():  # TLS cannot
            transport.write_eof()
        transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._shared.left(self)

    # What the listener asks of a connection

    @property
    def standing(self) -> EvictionRank | None:
        return None

    @property
    def unfinished_bytes(self) -> int:
        return 0

    def has_unread(self) -> bool:
        return False

    def cut_off(self) -> None:
        self.abort()

    def sweep(self, now: float) -> None:
        if now - self._since > LINGER_S:
            self.abort()

    def drain(self) -> None:
        """Nothing is due any more: it ends by itself, within `LINGER_S`."""

    def abort(self) -> None:
        self._transport.abort()
