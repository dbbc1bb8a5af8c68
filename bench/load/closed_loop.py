"""A closed loop: C keep-alive connections, each with one request under way; also over TLS.

`fire.c` does the same for a third of the CPU; this one is for what that does not speak. An answer
that is not understood, or a connection that closes, fails the round instead of shortening it.
"""

import asyncio
import ssl
from array import array
from collections import Counter
from dataclasses import dataclass, field
from time import perf_counter


@dataclass(slots=True)
class Outcome:
    """What one round saw. `latencies_s` is in the order of the answers."""

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))


class _Round:
    """What the connections of one round share."""

    def __init__(self, requests: list[bytes], connections: int) -> None:
        self.next = iter(requests).__next__
        self.outcome = Outcome()
        self.open = connections
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.known: dict[bytes, int] = {}  # whole answers seen before -> status

    def finish_one(self) -> None:
        self.open -= 1
        if not self.open and not self.done.done():
            self.done.set_result(None)

    def fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(why))


class _Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, shared: _Round) -> None:
        self._round = shared
        self._buffer = b""
        self._sent_at = 0.0
        self._idle = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send_next(self) -> None:
        try:
            request = self._round.next()
        except StopIteration:
            self._idle = True
            self._round.finish_one()
            return
        self._idle = False
        self._sent_at = perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        status = self._round.known.get(data) or self._parse(data)
        if not status:
            self._buffer = data
            return
        self._buffer = b""
        outcome = self._round.outcome
        outcome.latencies_s.append(perf_counter() - self._sent_at)
        outcome.statuses[status] += 1
        self.send_next()

    def _parse(self, data: bytes) -> int:
        """Return the status of a complete answer, 0 for one that is not complete yet."""
        head, end, rest = data.partition(b"\r\n\r\n")
        if not end:
            return 0
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            match name.lower():
                case b"content-length":
                    length = int(value)
                case b"transfer-encoding":
                    self._round.fail("chunked answers are not understood here")
        if len(rest) > length:
            self._round.fail("more was answered than was asked for")
        if len(rest) < length:
            return 0
        status = int(head[9:12])
        if len(self._round.known) < 100:  # a Date header makes one more every second
            self._round.known[data] = status
        return status

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._idle:
            self._round.fail(f"the server closed a connection: {exc}")


async def run(
    host: str, port: int, connections: int, requests: list[bytes], tls: ssl.SSLContext | None
) -> Outcome:
    """Send all `requests` over `connections` connections; the clock starts once all are open.

    Raises RuntimeError when a connection is lost or an answer makes no sense, OSError when the
    server cannot be reached.
    """
    loop = asyncio.get_running_loop()
    shared = _Round(requests, connections)
    opened = [
        await loop.create_connection(lambda: _Connection(shared), host, port, ssl=tls)
        for _ in range(connections)
    ]
    started = perf_counter()
    for _, connection in opened:
        connection.send_next()
    try:
        await shared.done
        shared.outcome.seconds = perf_counter() - started
    finally:
        for transport, _ in opened:
            transport.close()
    return shared.outcome
