"""The HTTP half with the real intake and journal behind it, and a client that speaks raw bytes."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from support.webhooks import API_KEY, SECRET

from gateway import native
from gateway.event import Event
from gateway.ingest.acceptance import Acceptance
from gateway.ingest.answers import Answer
from gateway.ingest.intake import Intake
from gateway.ingest.listener import Listener
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import App, IngestOptions, JournalOptions, ServerOptions
from gateway.store.publishing.publisher import Publisher
from gateway.tasks import end

PATH = "/webhooks/stream"
OTHER = App(api_key="other-key", secrets=("other-new", "other-old"))
APPS = (App(api_key=API_KEY, secrets=(SECRET,)), OTHER)
MAX_BODY = 100_000
HEADERS = "Host: localhost\r\nUser-Agent: test\r\n"


@dataclass
class Doorway:
    """An open listener and what is behind it."""

    listener: Listener
    journal: Journal
    metrics: Metrics

    @property
    def port(self) -> int:
        return self.listener.port

    @property
    def connections(self) -> Collection[Any]:
        return self.listener._shared.open

    def events(self) -> list[Event]:
        """Everything that was accepted, in order, as the journal has it."""
        return [stored.event for stored in self.journal.read(self.journal.start).stored]

    def answered(self, status: int) -> float:
        return self.metrics.webhooks.values.get((str(status),), 0)


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    *,
    ack: Any = "journal",
    journal: JournalOptions | None = None,
    tls: Any = None,
    drain_s: float = 0.0,
    is_native: bool = True,
    add_routes: Callable[[web.Application], object] = lambda _: None,
    url: str | None = None,
    **server: Any,
) -> AsyncIterator[Doorway]:
    """Open a doorway; with `ack="redis"`, Redis being away, answers wait for the disk.

    `is_native`: with the C piece, if it is built; `url`: of an engine to publish to.
    """
    metrics = Metrics()
    ingest = IngestOptions(path=PATH, max_body_bytes=MAX_BODY)
    stored = Journal(folder / "journal", journal or JournalOptions(), metrics)
    publisher = Publisher(url or "unix:///nowhere", stored, metrics, window_s=3600.0, linger_s=0)
    listener = Listener(
        ServerOptions(port=0, tls=tls, **server),
        ingest,
        acceptance=Acceptance(APPS, ingest),
        intake=Intake(stored, publisher, ack, metrics),
        metrics=metrics,
        keyring=native.keyring(APPS) if is_native else None,
    )
    add_routes(listener.app)
    await listener.start()
    publishing = [asyncio.create_task(publisher.run())] if url else []
    try:
        yield Doorway(listener, stored, metrics)
    finally:
        await end(publishing)
        await listener.drain(drain_s)
        stored.close()


@dataclass(frozen=True)
class Way:
    """How a request is put, which decides what path it takes."""

    name: str
    query: str = ""
    extra: str = ""
    chunked: bool = False

    def request(self, body: bytes, headers: Mapping[str, str], extra: str = "") -> bytes:
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        if self.chunked:
            half = len(body) // 2 or 1
            pieces = [piece for piece in (body[:half], body[half:]) if piece]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            body += b"0\r\n\r\n"
            length = "Transfer-Encoding: chunked\r\n"
        else:
            length = f"Content-Length: {len(body)}\r\n"
        head = (
            f"POST {PATH}{self.query} HTTP/1.1\r\n{HEADERS}{lines}{length}{self.extra}{extra}\r\n"
        )
        return head.encode("latin-1") + body


FAST = Way("fast")
QUERY = Way("query", query="?x=1")
CHUNKED = Way("chunked", chunked=True)
HOPS = Way("unusual-connection", extra="Connection: keep-alive, x-hop\r\n")
WAYS = (FAST, QUERY, CHUNKED, HOPS)


@dataclass(frozen=True)
class Response:
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, within_s: float = 30.0) -> Response:
        """The next response. Raises IncompleteReadError when the connection ends instead."""
        async with asyncio.timeout(within_s):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode().rstrip("\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            body = await self.reader.readexactly(int(headers.get("Content-Length", "0")))
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        return Response(int(status), headers, body)

    async def ask(self, data: bytes) -> Response:
        self.send(data)
        return await self.response()

    async def rest(self, within_s: float = 30.0) -> bytes:
        """Whatever comes until the other side closes."""
        async with asyncio.timeout(within_s):
            try:
                return await self.reader.read(-1)
            except ConnectionError:
                return b""


@contextlib.asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def ask(port: int, data: bytes, tls: ssl.SSLContext | None = None) -> Response:
    """One request on a connection of its own."""
    async with connected(port, tls) as client:
        return await client.ask(data)


def same(response: Response, answer: Answer, *, close: bool = False) -> None:
    """Assert that `response` is exactly `answer`, with no header more or less."""
    headers = {
        **dict(answer.headers),
        "Content-Type": "application/json",
        "Content-Length": str(len(answer.body)),
    }
    if close or answer.closes:
        headers["Connection"] = "close"
    received = {name: text for name, text in response.headers.items() if name != "Date"}
    assert "Date" in response.headers
    assert (response.status, received, response.body) == (answer.status, headers, answer.body)
