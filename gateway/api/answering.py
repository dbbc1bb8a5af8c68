"""How every endpoint answers: Stream's words, the caller's kind of times, any page's origin.

An endpoint returns what it says, or raises whose fault it is; here that becomes a response, and
is counted. Below /video times are RFC 3339, below /api/v2/video nanoseconds: each SDK breaks on
the other's. No cookie and no origin means anything: whoever has the token may ask from any page.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.calls.errors import StreamError, error_body, unavailable
from gateway.calls.times import with_ns
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.metrics import Counter

_NANOSECONDS_BELOW = "/api/v2/"
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining,"
    " X-RateLimit-Reset",
}
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": (
        "authorization, content-type, stream-auth-type, x-stream-client, x-client-request-id"
    ),
    "Access-Control-Max-Age": "600",
}


class Said(NamedTuple):
    """What an endpoint says: content with RFC 3339 times; JSON in it may be `orjson.Fragment`."""

    status: int
    content: Mapping[str, Any]


Endpoint = Callable[[web.Request], Awaitable[Said | web.Response]]


def answering(name: str, counts: Counter, endpoint: Endpoint) -> Handler:
    """Return the handler that answers by `endpoint`, counted as `name`."""

    async def handle(request: web.Request) -> web.Response:
        began = time.perf_counter()
        try:
            said = await endpoint(request)
        except StreamError as error:
            counts.add(name, str(error.code))
            return _refused(error)
        except (EngineUnavailable, EngineRefused):
            counts.add(name, "-1")
            return _refused(unavailable())
        counts.add(name, "ok")
        if isinstance(said, web.Response):
            said.headers.update(_CORS)
            return said
        took = {"duration": f"{(time.perf_counter() - began) * 1000:.2f}ms"}
        return _json(said.status, await _written({**said.content, **took}, request.path), {})

    return handle


async def preflight(_: web.Request) -> web.Response:
    """Answer a browser that asks whether a page may ask."""
    return web.Response(status=204, headers=_PREFLIGHT)


async def _written(content: Mapping[str, Any], path: str) -> bytes:
    if not path.startswith(_NANOSECONDS_BELOW):
        return orjson.dumps(content)
    return orjson.dumps({name: await _in_ns(name, value) for name, value in content.items()})


async def _in_ns(name: str, value: Any) -> Any:
    """Return one part of an answer with nanoseconds; a long list gives way to others."""
    if not isinstance(value, list):
        return with_ns({name: orjson.loads(orjson.dumps(value))})[name]
    parts = []
    for one in value:
        parts.append(orjson.Fragment(orjson.dumps(with_ns(orjson.loads(orjson.dumps(one))))))
        await asyncio.sleep(0)
    return parts


def _refused(error: StreamError) -> web.Response:
    again = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    said = error_body(error.code, error.status, error.message)
    return _json(error.status, orjson.dumps(said), again)


def _json(status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status, body=body, content_type="application/json", headers={**_CORS, **headers}
    )
