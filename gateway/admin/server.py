"""The admin listener: GET /metrics, /healthz, /readyz and /ledger.

/healthz says that the loop turns; /readyz says whether all is well, and if not why, and warns
beside a 200 of what an operator has to know all the same; /ledger says whether everything that
was accepted is somewhere. It has a port of its own, so that no load and no limit of the public
one keeps an operator out.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.admin.connections import ALWAYS, AdminAnswer, AdminConnections, noted
from gateway.admin.guard import refusal
from gateway.errors import EngineUnavailable, GatewayError
from gateway.listening import EVERYWHERE, listen_everywhere
from gateway.lookup.own_names import own_hosts
from gateway.options import AdminOptions

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_GRACE_S, _BACKLOG = 1.0, 128
_ANY, _ALLOWED = r"/{rest:[\s\S]*}", {"Allow": "GET,HEAD"}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Shown(Protocol):
    """What is shown: of one process, or of all workers together."""

    async def metrics(self) -> str:
        """Return all metrics in Prometheus' text format."""

    async def reasons(self) -> list[str]:
        """Return why the gateway is not ready, nothing when it is."""

    async def warnings(self) -> list[str]:
        """Return what an operator has to know that is no reason against the gateway."""

    async def ledger(self) -> dict[str, Any]:
        """Return the ledger. Raises `GatewayError`."""


class AdminServer:
    """Serves from `start()` to `stop()`."""

    def __init__(self, options: AdminOptions, shown: Shown) -> None:
        self._options, self._shown = options, shown
        self._runner = web.AppRunner(
            self._application(), access_log=None, logger=_requests(), shutdown_timeout=_GRACE_S
        )
        self._connections = AdminConnections(lambda: self._runner.server)
        self._listening: list[asyncio.Server] = []

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[noted, self._guarded])
        application.on_response_prepare.append(_nameless)
        shown = {
            "/metrics": self._show_metrics,
            "/healthz": self._show_health,
            "/readyz": self._show_readiness,
            "/ledger": self._show_ledger,
        }
        for path, handler in shown.items():
            application.router.add_get(path, handler, expect_handler=_expect)

        async def refuse(request: web.Request) -> web.Response:
            if request.path in shown:
                return AdminAnswer({"error": "Method Not Allowed"}, status=405, headers=_ALLOWED)
            return AdminAnswer({"error": "Not Found"}, status=404)

        application.router.add_route("*", _ANY, refuse, expect_handler=_expect)
        return application

    async def start(self) -> None:
        """Open the port. Raises `GatewayError` when it cannot be had."""
        await self._runner.setup()
        try:
            await self._listen()
        except OSError as error:
            await self.stop()
            raise GatewayError(
                f"cannot open the admin listener on {self._options.host}:{self._options.port}:"
                f" {error.strerror or error}"
            ) from error

    async def _listen(self) -> None:
        host, port, come = self._options.host, self._options.port, self._connections.come
        loop = asyncio.get_running_loop()
        if host == EVERYWHERE:
            everywhere = listen_everywhere(port, _BACKLOG)
            self._listening.append(await loop.create_server(come, sock=everywhere))
            return
        for one in await own_hosts(host, port):
            self._listening.append(await loop.create_server(come, one, port, backlog=_BACKLOG))

    @property
    def port(self) -> int:
        """The port that is open, which the configuration may have left to the system."""
        opened: socket.socket = self._listening[0].sockets[0]
        port: int = opened.getsockname()[1]
        return port

    async def stop(self) -> None:
        """Close the port and give requests under way a moment."""
        while self._listening:
            self._listening.pop().close()
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        why = refusal(
            headers.getall("Host", []), headers.getall("Origin", []), own_host=self._options.host
        )
        if why is not None:
            return AdminAnswer({"error": why}, status=403)
        return await handler(request)

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=(await self._shown.metrics()).encode(),
            headers={**ALWAYS, "Content-Type": _PROMETHEUS},
        )

    async def _show_health(self, _: web.Request) -> web.Response:
        return AdminAnswer({"healthy": True})

    async def _show_readiness(self, _: web.Request) -> web.Response:
        reasons = await self._shown.reasons()
        found = {"ready": not reasons, "reasons": reasons}
        if warnings := await self._shown.warnings():
            found["warnings"] = warnings
        return AdminAnswer(found, status=503 if reasons else 200)

    async def _show_ledger(self, _: web.Request) -> web.Response:
        try:
            return AdminAnswer(await self._shown.ledger())
        except EngineUnavailable as error:
            return AdminAnswer({"error": f"Redis is away: {error}"}, status=503)
        except GatewayError as error:
            return AdminAnswer({"error": str(error)}, status=500)


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """Answer `Expect`; aiohttp's own way quotes it, and fails where it is no text."""
    if request.version < HttpVersion11:
        return None
    if request.headers.get("Expect", "").lower() != "100-continue":
        return AdminAnswer({"error": "Expectation Failed"}, status=417)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # this was no part of the answer
    return None


def _requests() -> logging.Logger:
    """Return where aiohttp logs; that a request cannot be read is its sender's business."""
    found = logging.getLogger(f"{__name__}.requests")
    found.addFilter(_is_ours)
    return found


def _is_ours(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


async def _nameless(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)
