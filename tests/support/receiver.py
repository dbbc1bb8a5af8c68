"""A real HTTP receiver on a real socket, that records what it gets and misbehaves on script.

    async with running_receiver(script=[status(500), reset(), ok()]) as receiver:
        ... receiver.url, receiver.requests

The script gives one behaviour per request, in order of arrival, `otherwise` for all after it; or
it is a function from the request to its behaviour. Raw asyncio, because a proper server would
not let us do most of this.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    """One request. Header names in lower case; `at_s` is monotonic; connections count from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float
    connection: int


Behaviour = Callable[[Received, asyncio.StreamWriter], Awaitable[bool]]  # True: keep the connection
Script = Sequence[Behaviour] | Callable[[Received], Behaviour]


def _head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {text}" for name, text in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status(
    code: int, *headers: tuple[str, str], body: bytes = b"", after_s: float = 0
) -> Behaviour:
    """Answer `code` properly, with these headers and body, after a while."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(after_s)
        length = ("Content-Length", str(len(body)))
        writer.write(_head(code, (*headers, length)) + body)
        await writer.drain()
        return True

    return behave


def ok(after_s: float = 0) -> Behaviour:
    return status(200, after_s=after_s)


def too_many(retry_after: str) -> Behaviour:
    return status(429, ("Retry-After", retry_after))


def redirect(to: str) -> Behaviour:
    return status(302, ("Location", to))


def gone() -> Behaviour:
    return status(410)


def raw(answer: bytes) -> Behaviour:
    """Send these bytes for an answer, and close."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(answer)
        await writer.drain()
        return False

    return behave


def malformed() -> Behaviour:
    return raw(b"this is no HTTP\r\n\r\n")


def reset() -> Behaviour:
    """Tear the connection down with a RST once the request is here."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> bool:
        writer.transport.abort()
        return False

    return behave


def hang_up() -> Behaviour:
    return raw(b"")


def black_hole() -> Behaviour:
    """Take the request and never answer."""

    async def behave(_: Received, __: asyncio.StreamWriter) -> bool:
        await asyncio.Event().wait()
        return False

    return behave


def drip(answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n", every_s: float = 1.0) -> Behaviour:
    """Send the answer one byte at a time."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> bool:
        for byte in answer:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every_s)
        return False

    return behave


def endless(code: int = 200, *, chunk: bytes = b"x" * 4096, every_s: float = 0) -> Behaviour:
    """Answer with a body that never ends."""

    async def behave(_: Received, writer: asyncio.StreamWriter) -> bool:
        writer.write(_head(code, ()))
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave


@dataclass
class Receiver:
    """A running receiver. `script` and `otherwise` may be changed while it runs."""

    script: Script = ()
    otherwise: Behaviour = field(default_factory=ok)
    path: str = "/stream"
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    scheme: str = "http"
    _readers: dict[asyncio.Task[None], asyncio.StreamReader] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}{self.path}"

    @property
    def bodies(self) -> list[bytes]:
        return [request.body for request in self.requests]

    @property
    def open_connections(self) -> int:
        """Connections that the other side has not closed."""
        return sum(not reader.at_eof() for reader in self._readers.values())

    def _behaviour(self, request: Received) -> Behaviour:
        if callable(self.script):
            return self.script(request)
        number = len(self.requests)
        return self.script[number - 1] if number <= len(self.script) else self.otherwise

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._readers[task] = reader
        self.connections += 1
        connection = self.connections
        try:
            while (request := await _read_request(reader, connection)) is not None:
                self.requests.append(request)
                if not await self._behaviour(request)(request, writer):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has had enough, or the test is over
        finally:
            del self._readers[task]
            writer.close()

    async def _stop(self) -> None:
        tasks = list(self._readers)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, text = line.partition(":")
        headers[name.lower()] = text.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body, time.monotonic(), connection)


@contextlib.asynccontextmanager
async def running_receiver(
    script: Script = (),
    *,
    otherwise: Behaviour | None = None,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> AsyncIterator[Receiver]:
    """Run a receiver on loopback; leaving it cuts all connections. `port` 0 is a free one."""
    receiver = Receiver(script, otherwise or ok(), scheme="https" if tls else "http")
    server = await asyncio.start_server(receiver._serve, "127.0.0.1", port, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver._stop()
        await server.wait_closed()
