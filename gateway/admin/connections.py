"""The admin listener's connections: bounded in number, and nameless in every answer.

They take files from webhooks, and none of them has to be here for long. Where as many are open as
may be, the one that has gone unanswered or idle for longest makes room for whoever comes; only
where all are being answered is one that comes refused.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter
from typing import Any

import orjson
from aiohttp import web

from gateway.open_files import ADMIN_FILES

logger = logging.getLogger(__name__)

ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: application/json\r\n"
    b'Content-Length: 32\r\nConnection: close\r\n\r\n{"error":"too many connections"}'
)


class AdminAnswer(web.Response):
    """An answer in JSON that does not tell what gave it, nor in which version."""

    def __init__(
        self, value: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(
            body=orjson.dumps(value),
            status=status,
            content_type="application/json",
            headers={**ALWAYS, **(headers or {})},
        )

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop("Server", None)


class AdminConnection(web.RequestHandler):
    """`asked`: how many of its requests are being answered; `since`: when that changed."""

    __slots__ = ("asked", "since")

    def __init__(self, server: web.Server) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), access_log=None)  # type: ignore[arg-type]
        self.asked, self.since = 0, perf_counter()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        """Answer what could not be parsed, which a stranger can cause, or failed in our code."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("there is nobody left to answer, or an answer is under way")
        if status == HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("answering a request failed", exc_info=exc)
        response = AdminAnswer({"error": HTTPStatus(status).phrase}, status=status)
        response.force_close()
        return response


class Refusing(asyncio.Protocol):
    """Says that there is no place, and ends."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.write(_TOO_MANY)  # type: ignore[attr-defined]
        transport.close()


class AdminConnections:
    """Makes the protocol of each connection that comes."""

    def __init__(self, server: Callable[[], web.Server | None]) -> None:
        self._server = server

    def come(self) -> asyncio.Protocol:
        server = self._server()
        if server is None:
            return Refusing()
        here = [
            one
            for one in server.connections
            if isinstance(one, AdminConnection) and one.transport is not None
        ]
        if len(here) >= ADMIN_FILES:
            idle = [one for one in here if not one.asked]
            if not idle:
                return Refusing()
            min(idle, key=lambda one: one.since).force_close()
        return AdminConnection(server)


@web.middleware
async def noted(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Note that the connection of `request` is being answered."""
    connection = request.protocol
    if not isinstance(connection, AdminConnection):
        return await handler(request)
    connection.asked += 1
    try:
        return await handler(request)
    finally:
        connection.asked -= 1
        connection.since = perf_counter()
