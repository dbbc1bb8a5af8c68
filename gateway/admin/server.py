"""The admin listener: GET /metrics, /healthz, /readyz and /ledger.

/healthz says that the loop turns; /readyz says whether all is well, and if not why, and warns
beside a 200 of what an operator has to know all the same; /ledger says whether everything that
was accepted is somewhere. It has a port of its own, so that no load and no limit of the public
one keeps an operator out.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import orjson
from aiohttp import web

from gateway.admin.guard import refusal
from gateway.errors import GatewayError, StreamUnavailable
from gateway.listening import EVERYWHERE, listen_everywhere
from gateway.lookup.own import own_hosts
from gateway.options import AdminOptions

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_GRACE_S, _BACKLOG = 1.0, 128
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
            self._application(), access_log=None, shutdown_timeout=_GRACE_S
        )

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guarded])
        application.on_response_prepare.append(_nameless)
        application.router.add_get("/metrics", self._show_metrics)
        application.router.add_get("/healthz", self._show_health)
        application.router.add_get("/readyz", self._show_readiness)
        application.router.add_get("/ledger", self._show_ledger)
        return application

    async def start(self) -> None:
        """Open the port. Raises `GatewayError` when it cannot be had."""
        await self._runner.setup()
        try:
            for site in await self._sites():
                await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise GatewayError(
                f"cannot open the admin listener on {self._options.host}:{self._options.port}:"
                f" {error.strerror or error}"
            ) from error

    async def _sites(self) -> list[web.BaseSite]:
        host, port = self._options.host, self._options.port
        if host == EVERYWHERE:
            return [web.SockSite(self._runner, listen_everywhere(port, _BACKLOG))]
        return [web.TCPSite(self._runner, one, port) for one in await own_hosts(host, port)]

    @property
    def port(self) -> int:
        """The port that is open, which the configuration may have left to the system."""
        port: int = self._runner.addresses[0][1]
        return port

    async def stop(self) -> None:
        """Close the port and give requests under way a moment."""
        await self._runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        why = refusal(
            headers.getall("Host", []), headers.getall("Origin", []), own_host=self._options.host
        )
        if why is not None:
            return _json({"error": why}, status=403)
        try:
            response = await handler(request)
        except web.HTTPException as error:  # aiohttp's own: an unknown path, a wrong method
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _json({"error": error.reason}, status=error.status, headers=allowed)
        return response

    async def _show_metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=(await self._shown.metrics()).encode(),
            headers={**_ALWAYS, "Content-Type": _PROMETHEUS},
        )

    async def _show_health(self, _: web.Request) -> web.Response:
        return _json({"healthy": True})

    async def _show_readiness(self, _: web.Request) -> web.Response:
        reasons = await self._shown.reasons()
        found = {"ready": not reasons, "reasons": reasons}
        if warnings := await self._shown.warnings():
            found["warnings"] = warnings
        return _json(found, status=503 if reasons else 200)

    async def _show_ledger(self, _: web.Request) -> web.Response:
        try:
            return _json(await self._shown.ledger())
        except StreamUnavailable as error:
            return _json({"error": f"Redis is away: {error}"}, status=503)
        except GatewayError as error:
            return _json({"error": str(error)}, status=500)


async def _nameless(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.pop("Server", None)


def _json(
    value: dict[str, Any], *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=orjson.dumps(value),
        status=status,
        content_type="application/json",
        headers={**_ALWAYS, **(headers or {})},
    )
