"""RESP over one connection: packed commands go out, their replies come back, in order.

Once it has failed, been closed or said what nobody waits for, a connection is over: a reply must
never answer another command than its own. Whoever listens to a channel takes what comes unasked.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import hiredis

Arg = bytes | str | int | float


class ErrorReply(Exception):
    """An error in Redis' own words, its code first. It stands among replies, where it came."""


def pack(*args: Arg) -> bytes:
    """Return one command as the protocol has it."""
    packed: bytes = hiredis.pack_command(args)  # type: ignore[arg-type]  # its stub wants a 1-tuple
    return packed


def arguments(*args: Arg) -> bytes:
    """Return `args` packed, without the line before them that says how many there are."""
    packed = pack(*args)
    return packed[packed.index(b"\n") + 1 :]


class RespConnection(asyncio.Protocol):
    """`hear` is given each reply that nobody waits for, and at the end why it is over; without
    `hear` such a reply is the end.
    """

    def __init__(self) -> None:
        self.transport: Any = None
        self.hear: Callable[[Any], None] | None = None
        self._reader = hiredis.Reader(replyError=ErrorReply)
        self._replies: list[Any] = []
        self._wanted = 0
        self._done: asyncio.Future[list[Any]] | None = None
        self._error: OSError | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is connected, as far as can be seen."""
        return self._error is None and not self.transport.is_closing()

    def ask(self, commands: Sequence[bytes]) -> asyncio.Future[list[Any]]:
        """Send packed `commands` in one piece; the future has their replies, or `OSError`.

        One at a time. A reply that is an error stands as an `ErrorReply` in the list.
        """
        self._replies, self._wanted = [], len(commands)
        self._done = asyncio.get_running_loop().create_future()
        if self.is_open:
            self.transport.write(b"".join(commands))
        else:  # it ended while nobody was waiting
            self.end(ConnectionError("connection closed by Redis"))
        return self._done

    def send(self, command: bytes) -> None:
        """Send a packed command, whose reply is for `hear`."""
        if self.is_open:
            self.transport.write(command)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        replies = self._replies
        try:
            while (reply := self._reader.gets()) is not False:
                replies.append(reply)
        except hiredis.HiredisError as error:
            self.end(ConnectionError(f"this is no Redis: {error}"))
            return
        done, wanted = self._done, self._wanted
        if done is None or done.done():
            self._replies = []
            self._unasked(replies)
        elif len(replies) >= wanted:
            self._replies = []
            done.set_result(replies)
            if len(replies) > wanted:
                self._unasked([replies.pop() for _ in range(len(replies) - wanted)])

    def _unasked(self, replies: list[Any]) -> None:
        for reply in replies:
            if self.hear is None:  # such as: too many clients, protected mode
                self.end(ConnectionError(f"connection closed by Redis: {reply}"))
            else:
                self.hear(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        lost = exc if isinstance(exc, OSError) else ConnectionError("connection closed by Redis")
        self.end(lost)

    def end(self, error: OSError) -> None:
        """Close it at once. Who waits is told `error`, or the one before it if there was one."""
        if self._error is None:
            self._error = error
            self.transport.abort()
            if self.hear is not None:
                self.hear(error)
        if self._done is not None and not self._done.done():
            self._done.set_exception(self._error)
            self._done.exception()  # read once here: the exchange may have been given up
