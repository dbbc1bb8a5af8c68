"""The connections of one HTTP subscriber: a bounded pool, one exchange at a time on each.

An exchange is one write and one future. Its time-out is a field of the connection; one timer for
the whole pool is set to the earliest of them, so an exchange that is answered in time costs no
timer at all. A connection that is not certain to be between two answers is never used again: after
a time-out, a cancellation, a body without end, a byte that nobody asked for.
"""

import asyncio
from collections import deque
from errno import ECONNABORTED
from typing import cast

from gateway import native
from gateway.subscribers.answers import AnswerParser, HttpAnswer, Malformed
from gateway.subscribers.dialing import Dialer, failure_of
from gateway.subscribers.outcome import Failed, Reason

ANSWER_BODY_S = 1.0  # how long an answer's body may take once its status is known
# Below the 5 s after which Node's servers close an idle connection: we close first, and no event
# is sent into a socket that is just being closed.
KEEP_ALIVE_S = 4.0
_MAX_KNOWN = 64
_MAX_KNOWN_BYTES = 1024
_CLOCK_S = 0.001  # uvloop's timers may ring this much early
_NEVER = float("inf")

Result = HttpAnswer | Failed
LATE = Failed(Reason.TIMEOUT)


class ReceiverConnection(asyncio.Protocol):
    """Connected. `deadline` (of the loop's clock): of the exchange under way, or of idleness."""

    __slots__ = ("_descriptor", "_done", "_parser", "_pool", "deadline", "transport")

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)  # until it is made
        self._descriptor = -1  # of the socket, where requests may go past the transport
        self._done: asyncio.Future[Result] | None = None
        self._parser: AnswerParser | None = None
        self.deadline = _NEVER

    def exchange(self, request: bytes, deadline: float) -> asyncio.Future[Result]:
        """Send `request`; return the future of what comes back by `deadline`."""
        pool = self._pool
        self._done = done = pool.loop.create_future()
        self.deadline = deadline
        if deadline < pool.alarm_at:
            pool.watch(deadline)
        # Between two exchanges the transport has nothing to write.
        sent = 0
        if self._descriptor >= 0 and native.send is not None:
            sent = native.send(self._descriptor, request)
        if sent < len(request):
            self.transport.write(request[sent:])
        return done

    def give_up(self, done: asyncio.Future[Result]) -> None:
        """Nobody waits for this exchange any more. It may be over, and the next one under way."""
        if self._done is done:
            self._drop()

    def close(self) -> None:
        """Drop the connection; an exchange under way has failed."""
        self._finish(Failed(Reason.NETWORK, detail="closed"), reusable=False)

    def expire(self) -> None:
        """End what its deadline was for."""
        parser = self._parser
        known = parser is not None and parser.status
        self._finish(parser.answer if parser and known else LATE, reusable=False)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if native.send is not None and transport.get_extra_info("sslcontext") is None:
            self._descriptor = transport.get_extra_info("socket").fileno()
        self._pool.made(self)

    def data_received(self, data: bytes) -> None:
        parser, known = self._parser, None
        if parser is None:
            if self._done is None:  # nobody has asked
                self._drop()
                return
            known = self._pool.known.get(data)
        if known is not None:
            self._finish(known, reusable=True)
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        begins = self._parser is None
        parser = self._parser = self._parser or AnswerParser(self._pool.max_body_bytes)
        try:
            parser.feed(data)
        except Malformed as why:
            self._finish(Failed(Reason.NETWORK, detail=str(why)), reusable=False)
            return
        if parser.done:
            if begins and parser.reusable:
                self._pool.remember(data, parser.answer)
            self._finish(parser.answer, reusable=parser.reusable)
        elif parser.status:  # the rest of the body gets a moment
            self.deadline = min(self.deadline, self._pool.loop.time() + ANSWER_BODY_S)
            self._pool.watch(self.deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        self._pool.lost(self)
        if self._done is None:
            return
        parser = self._parser or AnswerParser(0)
        try:
            parser.end()
        except Malformed as why:
            failed = failure_of(exc) if exc is not None else Failed(Reason.NETWORK, detail=str(why))
            self._finish(failed, reusable=False)
        else:
            self._finish(parser.answer, reusable=False)

    def _drop(self) -> None:
        self._done, self._parser, self.deadline = None, None, _NEVER
        self.transport.abort()

    def _finish(self, result: Result, *, reusable: bool) -> None:
        done, self._done, self._parser = self._done, None, None
        transport = self.transport
        # An answer that came before the whole request was sent leaves the rest in its way.
        if reusable and not transport.get_write_buffer_size() and not transport.is_closing():
            self._pool.release(self)
        else:
            self._drop()
        if done is not None and not done.done():
            done.set_result(result)


class Pool:
    """At most `limit` connections. Make it inside the running loop."""

    def __init__(self, dialer: Dialer, *, limit: int, max_body_bytes: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.max_body_bytes = max_body_bytes
        # Whole answers as they came before: a receiver says the same nearly always.
        self.known: dict[bytes, HttpAnswer] = {}
        self._dialer = dialer
        self._limit = limit
        self._all: set[ReceiverConnection] = set()
        self._dialing = 0
        self._idle: list[ReceiverConnection] = []  # the one used last is taken first
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self.alarm_at = _NEVER  # what is due before it must be watched
        self._closed = False

    def take(self) -> ReceiverConnection | None:
        """Return a connection that is free at once, if there is one."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def open(self) -> ReceiverConnection:
        """Return a free connection, a new one while there may be more.

        Raises as `Dialer.connect`; waits without end: the caller's time is limited.
        """
        while not self._closed:
            if (connection := self.take()) is not None:
                return connection
            if len(self._all) + self._dialing < self._limit:
                return await self._dial()
            await self._change()
        raise ConnectionAbortedError(ECONNABORTED, "closed")

    async def _dial(self) -> ReceiverConnection:
        self._dialing += 1
        try:
            return await self._dialer.connect(lambda: ReceiverConnection(self))
        finally:
            self._dialing -= 1
            self._wake()

    async def _change(self) -> None:
        """Wait until a connection is free, or may be opened."""
        change = self.loop.create_future()
        self._waiting.append(change)
        try:
            await change
        except asyncio.CancelledError:
            if change.done() and not change.cancelled():
                self._wake()  # that was for somebody who waits still
            raise

    def _wake(self) -> None:
        while self._waiting:
            change = self._waiting.popleft()
            if not change.done():
                change.set_result(None)
                return

    def close(self) -> None:
        """Drop all connections, and open none any more."""
        self._closed = True
        for connection in tuple(self._all):
            connection.close()
        while self._waiting:
            self._wake()
        if self._alarm is not None:
            self._alarm.cancel()

    # What connections say.

    def made(self, connection: ReceiverConnection) -> None:
        self._all.add(connection)

    def lost(self, connection: ReceiverConnection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._wake()

    def release(self, connection: ReceiverConnection) -> None:
        connection.deadline = deadline = self.loop.time() + KEEP_ALIVE_S
        if deadline < self.alarm_at:
            self.watch(deadline)
        self._idle.append(connection)
        if self._waiting:
            self._wake()

    def remember(self, data: bytes, answer: HttpAnswer) -> None:
        if len(data) > _MAX_KNOWN_BYTES:
            return
        if len(self.known) == _MAX_KNOWN:  # a Date makes a new one every second
            self.known.clear()
        self.known[data] = answer

    def watch(self, deadline: float) -> None:
        """See to it that the connection with this deadline expires then."""
        if deadline >= self.alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self.alarm_at = deadline
        self._alarm = self.loop.call_at(deadline, self._ring)

    def _ring(self) -> None:
        self._alarm, self.alarm_at = None, _NEVER
        now = self.loop.time() + _CLOCK_S
        for connection in tuple(self._all):
            if connection.deadline <= now:
                connection.expire()
        earliest = min((connection.deadline for connection in self._all), default=_NEVER)
        if earliest < _NEVER:
            self.watch(earliest)
