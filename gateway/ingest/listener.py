"""The public port: accepts, bounds and ends connections.

One timer enforces every deadline of every connection, so that a connection costs none; a
deadline is therefore kept to within `_SWEEP_S`.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.ingest.acceptance import Acceptance
from gateway.ingest.aiohttp_app import build_app
from gateway.ingest.aiohttp_connection import GuardedHandler
from gateway.ingest.answers import TOO_MANY_CONNECTIONS, Wire
from gateway.ingest.connection import WebhookConnection
from gateway.ingest.intake import Intake
from gateway.ingest.listener_state import ConnectionPast, ListenerState, OpenConnection
from gateway.ingest.load_sharing import Acceptor, Loads
from gateway.ingest.webhooks import Webhooks
from gateway.listening import EVERYWHERE, listen_everywhere
from gateway.lookup.own_names import own_addresses
from gateway.metrics import Metrics
from gateway.native import Keyring
from gateway.open_files import FileRoom
from gateway.options import IngestOptions, ServerOptions, TlsOptions

logger = logging.getLogger(__name__)

_SWEEP_S = 0.25
_BACKLOG = 1024
_UNREAD_BYTES = 64 << 10
_LAST_WORDS_S = 1.0  # for handlers of aiohttp's that are cut off at the end of draining


def tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Return the server's context: TLS 1.2 or newer, HTTP/1.1. Raises OSError and SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(options.cert, options.key)
    return context


async def _listen(options: ServerOptions) -> list[socket.socket]:
    """Open the port on every address that `host` stands for. Raises OSError."""
    if options.host == EVERYWHERE:
        return [listen_everywhere(options.port, _BACKLOG)]
    found = await own_addresses(options.host, options.port)
    opened: list[socket.socket] = []
    try:
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            opened.append(socket.create_server(address, family=family, backlog=_BACKLOG))
            opened[-1].setblocking(False)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


class Listener:
    """Takes webhooks on one port, and whatever else has routes in `app`."""

    def __init__(
        self,
        options: ServerOptions,
        ingest: IngestOptions,
        *,
        acceptance: Acceptance,
        intake: Intake,
        metrics: Metrics,
        is_ready: Callable[[], bool] = lambda: True,
        keyring: Keyring | None = None,
        files: FileRoom | None = None,
    ) -> None:
        """Open nothing yet. `is_ready` answers /readyz; add routes to `app` before `start`.

        `keyring` takes plain requests whole; what it leaves comes to `acceptance`. `files`: how
        many there are for connections; None: enough.
        """
        self._options = options
        self._shared = ListenerState(
            server=options,
            webhooks=Webhooks(acceptance, ingest, metrics),
            intake=intake,
            metrics=metrics,
            wire=Wire(time.time()),
            request_line=f"POST {ingest.path} HTTP/1.1\r\n".encode(),
            hand_over=self._hand_over,
            keyring=keyring,
            files=files or FileRoom(),
        )
        metrics.connections.track(read=lambda: len(self._shared.open))
        self.app = build_app(self._shared, is_ready)
        self._runner = web.AppRunner(self.app, shutdown_timeout=_LAST_WORDS_S)
        self._acceptors: list[Acceptor] = []
        self._port: int | None = None
        self._tls_terms: dict[str, Any] = {}
        self._coming: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, listening: socket.socket | None = None) -> None:
        """Listen where the options say, or on a socket that was opened by others.

        Raises OSError if the address is taken, or TLS files cannot be read.
        """
        opened = [listening] if listening is not None else await _listen(self._options)
        await self._accept(opened, None, 0)

    async def share(self, listening: socket.socket, loads: Loads, number: int) -> None:
        """Accept from a socket that other workers accept from too. Raises OSError as `start`."""
        await self._accept([listening], loads, number)

    async def _accept(
        self, listening: list[socket.socket], loads: Loads | None, number: int
    ) -> None:
        try:
            self._tls_terms = self._tls()
            await self._runner.setup()
            self._port = listening[0].getsockname()[1]
            for each in listening:
                self._acceptors.append(
                    Acceptor(
                        each,
                        loads,
                        number,
                        connections=self._connections,
                        take=self._take,
                        refuse=self._refuse,
                    )
                )
        except BaseException:
            for each in listening:
                each.close()
            raise
        for acceptor in self._acceptors:
            acceptor.start()
        self._sweep()

    def _tls(self) -> dict[str, Any]:
        tls = self._options.tls
        deadline_s = self._options.header_timeout_s if tls else None
        return {
            "ssl": tls_context(tls) if tls else None,
            "ssl_handshake_timeout": deadline_s,
            "ssl_shutdown_timeout": deadline_s,
        }

    def _connections(self) -> int:
        """Return how many there are here: senders, watchers, and those that come just now."""
        metrics = self._shared.metrics
        rows = (*metrics.connections.rows(), *metrics.feed_connections.rows())
        return int(sum(number for _, number in rows))

    def _take(self, accepted: socket.socket) -> None:
        connection = WebhookConnection(self._shared)
        if not connection.arrive(accepted):
            self._refuse(accepted)
            return
        task = asyncio.create_task(self._come(accepted, connection), name="accepted")
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _come(self, accepted: socket.socket, connection: WebhookConnection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted, **self._tls_terms)
        except OSError:  # it has gone, or speaks no TLS: its own business
            accepted.close()
            self._shared.left(connection)
        except BaseException:
            accepted.close()
            self._shared.left(connection)
            raise

    def _refuse(self, accepted: socket.socket) -> None:
        """Answer 503 to one for whom there is not even a place to wait for its request."""
        with accepted, contextlib.suppress(OSError):
            accepted.setblocking(False)
            if not self._options.tls:
                with contextlib.suppress(BlockingIOError):
                    accepted.recv(_UNREAD_BYTES)  # what is left unread would undo the answer
                accepted.send(self._shared.wire.render(TOO_MANY_CONNECTIONS, close=True))
                accepted.shutdown(socket.SHUT_WR)

    @property
    def port(self) -> int:
        """The port that was bound, which matters when port 0 was asked for."""
        if self._port is None:
            raise RuntimeError("not listening")
        return self._port

    async def drain(self, timeout_s: float) -> None:
        """Stop listening, answer what is under way, then close what is left.

        Every answer from now on says `Connection: close`; idle connections close at once.
        """
        while self._acceptors:
            self._acceptors.pop().close()
        shared = self._shared
        shared.drain()
        for connection in tuple(shared.open):
            connection.drain()
        if shared.open:
            shared.emptied.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await shared.emptied.wait()
            except TimeoutError:
                if shared.open:
                    logger.warning("cutting off %d connections", len(shared.open))
        await self._runner.cleanup()
        for connection in (*shared.open, *shared.lingering):
            connection.abort()
        if shared.socket_reader is not None:
            shared.socket_reader.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _hand_over(self, transport: asyncio.Transport, first: bytes, past: ConnectionPast) -> None:
        server = self._runner.server
        if server is None or transport.is_closing():
            transport.close()
            return
        GuardedHandler(server, self._shared).take_over(transport, first, past)

    def _sweep(self) -> None:
        interval_s = min(_SWEEP_S, self._options.header_timeout_s / 4)
        self._sweeper = asyncio.get_running_loop().call_later(interval_s, self._sweep)
        self._shared.tick()
        self._shared.intake.expire()
        for acceptor in self._acceptors:
            acceptor.tell()
        now = time.perf_counter()
        for connections in (self._shared.open, self._shared.lingering):
            for connection in tuple(connections):
                self._sweep_one(connection, now)

    def _sweep_one(self, connection: OpenConnection, now: float) -> None:
        try:
            connection.sweep(now)
        except Exception:
            logger.exception("sweeping a connection failed")
            connection.abort()
