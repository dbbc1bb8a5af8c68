"""The last words to a connection whose next request will not be read.

What it sends is read on and thrown away for a moment: a socket that is closed with something
unread is reset, and the answer with it.
"""

import asyncio
from time import perf_counter

from gateway.ingest.answers import Answer
from gateway.ingest.places import Standing
from gateway.ingest.surroundings import LINGER_S, Surroundings


class LastWords(asyncio.Protocol):
    """Takes the connection, and lingers. `Surroundings` counts it until it is gone."""

    __slots__ = ("_around", "_since", "_transport")

    def __init__(self, transport: asyncio.Transport, around: Surroundings) -> None:
        self._transport, self._around = transport, around
        self._since = perf_counter()

    def say(self, answer: Answer) -> None:
        transport = self._transport
        transport.set_protocol(self)
        self._around.linger(self)
        transport.write(self._around.wire.render(answer, close=True))
        if transport.can_write_eof():  # TLS cannot
            transport.write_eof()
        transport.resume_reading()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._around.left(self)

    # What the listener asks of a connection

    @property
    def standing(self) -> Standing | None:
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
