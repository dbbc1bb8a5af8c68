"""Connections of strangers: raw sockets that say what they are told to, and then nothing."""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Iterator

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
UNSIGNED = (
    b"POST /webhooks/stream HTTP/1.1\r\nHost: x\r\nX-Api-Key: demo-key\r\n"
    b"X-Signature: " + b"0" * 64 + b"\r\nContent-Length: %d\r\n\r\n"
)
BAD_WEBHOOK = UNSIGNED % 2 + b"{}"


def room_for(count: int) -> bool:
    """Raise the limit of open files for this process; tell whether so many sockets fit in."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard == resource.RLIM_INFINITY or hard > count + 500


class Strangers:
    """As many as were asked to come. Not one of them ever reads what it is answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.sockets: list[socket.socket] = []
        self.came = 0  # of those who return

    async def come(self, count: int, first: bytes = b"") -> None:
        """Connect `count` times, and send `first`: all of it, unless the other side ends it."""
        for begin in range(0, count, 100):
            some = range(begin, min(begin + 100, count))
            await asyncio.gather(*(self._come(first) for _ in some))

    async def _come(self, first: bytes) -> None:
        one = socket.socket()
        one.setblocking(False)
        self.sockets.append(one)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(one, ("127.0.0.1", self.port))
        with contextlib.suppress(ConnectionError):
            if first:
                await loop.sock_sendall(one, first)

    async def return_for_ever(self, count: int, first: bytes = b"", goes_on: bytes = b"") -> None:
        """Have so many there at all times: who is ended comes back at once, until cancelled.

        Each sends `first`, and then `goes_on` without a pause, if there is any.
        """
        async with asyncio.TaskGroup() as group:
            for _ in range(count):
                group.create_task(self._return(first, goes_on))

    async def _return(self, first: bytes, goes_on: bytes) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with socket.socket() as one, contextlib.suppress(OSError):
                one.setblocking(False)
                await loop.sock_connect(one, ("127.0.0.1", self.port))
                self.came += 1
                if first:
                    await loop.sock_sendall(one, first)
                await (_say_on(one, goes_on) if goes_on else _hear(one))
            await asyncio.sleep(0)

    def say(self, data: bytes) -> None:
        """Send a little more on each, as far as it goes."""
        for one in self.sockets:
            with contextlib.suppress(OSError):
                one.send(data)

    def ended(self) -> int:
        """How many the other side has ended by now."""
        return sum(map(_is_ended, self.sockets))

    def leave(self) -> None:
        for one in self.sockets:
            one.close()
        self.sockets.clear()


async def _hear(one: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(one, 65536):
        pass


async def _say_on(one: socket.socket, data: bytes) -> None:
    """Send `data` again and again, and take the answers, until the other side ends it."""
    loop = asyncio.get_running_loop()
    hearing = asyncio.create_task(_hear(one))
    try:
        while not hearing.done():
            await loop.sock_sendall(one, data)
            await asyncio.sleep(0)
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])
        if not hearing.cancelled():
            hearing.exception()


def _is_ended(one: socket.socket) -> bool:
    try:
        while data := one.recv(65536):
            del data
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def strangers(port: int) -> Iterator[Strangers]:
    some = Strangers(port)
    try:
        yield some
    finally:
        some.leave()
