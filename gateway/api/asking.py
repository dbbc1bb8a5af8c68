"""What every request says: who asks, about which call, and whether the call is to be watched."""

import asyncio
import time

from aiohttp import web
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.web_protocol import RequestPayloadError

from gateway.calls.allowance import Allowance
from gateway.calls.errors import TIMEOUT, StreamError, bad_input, too_large
from gateway.calls.tokens import Identity, Tokens
from gateway.options import MIB

MAX_REQUEST_BYTES = 1 * MIB
MAX_CID_BYTES = 256


def identify(tokens: Tokens, allowance: Allowance, request: web.Request) -> Identity:
    """Return who asks, and count that he does. Raises `StreamError`."""
    token = request.headers.get("Authorization")
    caller = tokens.verify(request.query.get("api_key"), token, time.time())
    allowance.request(caller)
    return caller


def cid_of(request: web.Request) -> str:
    """Return the call that the path names. Raises `StreamError` 4."""
    cid = "{type}:{id}".format_map(request.match_info)
    if len(cid.encode(errors="replace")) > MAX_CID_BYTES:
        raise bad_input(f"a call's type and id have {MAX_CID_BYTES} bytes at most")
    if not cid.isprintable():
        raise bad_input("a call's type and id are printable")
    return cid


def asked_to_watch(request: web.Request) -> str | None:
    """Return the connection that Get, GetOrCreate or Join asks to watch by; None for none.

    Naming a connection asks, unless `watch=false` says otherwise. Raises `StreamError` 4 for
    `watch=true` without one.
    """
    match request.query.get("watch"):
        case "true":
            return connection_of(request)
        case "false":
            return None
    return request.query.get("connection_id") or None


def connection_of(request: web.Request) -> str:
    """Return the connection that is named. Raises `StreamError` 4 for none."""
    connection_id = request.query.get("connection_id")
    if not connection_id:
        raise bad_input("watch needs a connection_id")
    return connection_id


async def read_body(request: web.Request, within_s: float) -> bytes:
    """Return the body as it was sent. Raises `StreamError`: 22 beyond `MAX_REQUEST_BYTES`."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > MAX_REQUEST_BYTES:
                    raise too_large("the body is larger than 1 MiB")
    except TimeoutError:
        raise StreamError(TIMEOUT, 408, "the body has not come in time") from None
    except (RequestPayloadError, ClientPayloadError):
        raise bad_input("the body breaks off, or is not what its headers say") from None
    return bytes(body)
