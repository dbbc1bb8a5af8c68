"""The aiohttp application: webhooks that are not plain enough for the fast path, health, and the
place where later parts add their routes.

Whatever goes wrong in any handler leaves as one of our answers: aiohttp's own refusals are
translated, and an exception of ours is logged and answered 503.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from aiohttp import HttpVersion11, web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_protocol import RequestPayloadError

from gateway.ingest.aiohttp_connection import AnswerResponse, has_signed
from gateway.ingest.answers import (
    BAD_REQUEST,
    EXPECTATION_FAILED,
    INTERNAL,
    LENGTH_REQUIRED,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    REQUEST_TIMEOUT,
    TOO_LARGE,
    UNAUTHORIZED,
    UNAVAILABLE,
    Answer,
)
from gateway.ingest.intake import AwaitedReply
from gateway.ingest.listener_state import ListenerState

logger = logging.getLogger(__name__)


class AiohttpWebhooks:
    """Takes webhooks from aiohttp."""

    def __init__(self, shared: ListenerState) -> None:
        self._shared = shared
        self._max_bytes = shared.webhooks.options.max_body_bytes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        return self._respond(await self._answer(request))

    async def expect(self, request: web.Request) -> web.StreamResponse | None:
        """Answer `Expect`: go on, or refuse before the body is sent."""
        if request.version < HttpVersion11:
            return None
        if request.headers.get("Expect", "").lower() != "100-continue":
            return self._respond(EXPECTATION_FAILED)
        if (request.content_length or 0) > self._max_bytes:
            return self._respond(TOO_LARGE)
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # this was no part of the answer
        return None

    def _respond(self, answer: Answer) -> web.StreamResponse:
        self._shared.webhooks.count(answer)
        return AnswerResponse(answer, close=self._shared.draining)

    async def _answer(self, request: web.Request) -> Answer:
        body = await self._read(request)
        if isinstance(body, Answer):
            return body
        headers = [_only(request, name) for name in ("X-Signature", "X-Api-Key")]
        if None in headers:
            return UNAUTHORIZED  # one of them twice
        signature, api_key = headers
        verdict = self._shared.webhooks.judge(
            body=body,
            api_key=api_key,
            signature=signature,
            webhook_id=_first(request, "X-Webhook-Id"),
            content_encoding=_first(request, "Content-Encoding"),
        )
        if isinstance(verdict, Answer):
            return verdict
        has_signed(request)
        waiting = AwaitedReply()
        self._shared.intake.submit(verdict, waiting)
        return await waiting.answered

    async def _read(self, request: web.Request) -> bytes | Answer:
        """Return the whole body, or why it is refused."""
        length = request.content_length
        if length is None and "Transfer-Encoding" not in request.headers:
            return LENGTH_REQUIRED
        if (length or 0) > self._max_bytes:
            return TOO_LARGE
        body = bytearray()
        try:
            async with asyncio.timeout(self._shared.server.body_timeout_s):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > self._max_bytes:
                        return TOO_LARGE
        except TimeoutError:
            return REQUEST_TIMEOUT
        except (RequestPayloadError, ClientPayloadError):
            return BAD_REQUEST
        return bytes(body)


def _raw(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _first(request: web.Request, name: str) -> bytes:
    return _raw(request.headers.get(name, ""))


def _only(request: web.Request, name: str) -> bytes | None:
    """Return the header's value, empty if absent; None if it is there twice."""
    values = request.headers.getall(name, [])
    return None if len(values) > 1 else _raw(values[0]) if values else b""


def _translate(refusal: web.HTTPException) -> Answer:
    """Return our answer for a refusal of aiohttp's."""
    if refusal.status == NOT_FOUND.status:
        return NOT_FOUND
    if refusal.status == METHOD_NOT_ALLOWED.status:
        return replace(METHOD_NOT_ALLOWED, headers=(("Allow", refusal.headers["Allow"]),))
    phrase = HTTPStatus(refusal.status).phrase.lower()
    return Answer(refusal.status, phrase.replace(" ", "_"), phrase)


def _answered(shared: ListenerState) -> Middleware:
    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            if refusal.status < HTTPStatus.BAD_REQUEST:
                raise
            response = AnswerResponse(_translate(refusal))
        except ConnectionError:
            raise
        except Exception:
            logger.exception("answering a request failed")
            response = AnswerResponse(INTERNAL)
        if shared.draining and not response.prepared:
            response.force_close()
        return response

    return answered


async def _nameless(_: web.Request, response: web.StreamResponse) -> None:
    """Tell nobody what answers, nor in which version."""
    response.headers.pop("Server", None)


def build_app(shared: ListenerState, is_ready: Callable[[], bool]) -> web.Application:
    """Return the application; routes may be added until the listener starts."""
    webhooks = AiohttpWebhooks(shared)

    async def healthz(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"}) if is_ready() else AnswerResponse(UNAVAILABLE)

    app = web.Application(middlewares=[_answered(shared)])
    app.on_response_prepare.append(_nameless)
    app.router.add_route(
        "POST",
        shared.webhooks.options.path,
        webhooks.handle,
        expect_handler=webhooks.expect,
    )
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app
