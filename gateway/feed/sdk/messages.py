"""What is said on Stream's own socket, apart from events. Pure.

Shapes: `@stream-io/video-client` src/coordinator/connection/types.ts, src/gen/coordinator; times
are RFC 3339 there, in UTC.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from gateway.calls.errors import StreamError, error_body
from gateway.feed.websocket.frames import text_frame

_MAX_PROFILE_BYTES = 8 << 10  # of what a user says of itself, which it gets back


class UserDetails(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    image: str | None = None
    custom: dict[str, Any] | None = None


class Hello(msgspec.Struct, gc=False):
    """A client's first message."""

    token: str | None = None
    user_details: UserDetails | None = None


class _Ping(msgspec.Struct, gc=False):
    type: str = ""


_decode_hello = msgspec.json.Decoder(Hello).decode
_decode_pings = msgspec.json.Decoder(list[_Ping] | _Ping).decode


def read_hello(text: bytes) -> Hello:
    """Return the first message. Raises `StreamError` 4 for anything else."""
    try:
        return _decode_hello(text)
    except (msgspec.MsgspecError, RecursionError):
        raise StreamError(4, 400, "the first message is an object with a token") from None


def is_health_check(text: bytes) -> bool:
    """Tell whether a client asks for a sign of life; the SDK sends a list with one object."""
    try:
        said = _decode_pings(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    pings = said if isinstance(said, list) else [said]
    return bool(pings) and pings[0].type == "health.check"


def connected(
    connection_id: str, user_id: str, role: str | None, user: UserDetails, now_ms: int
) -> bytes:
    """Say that the connection is open, and what is known of its user."""
    at = _time(now_ms)
    me: dict[str, Any] = {
        "id": user_id,
        "role": role or "user",
        "language": "",
        "teams": [],
        "devices": [],
        "custom": _bounded(user.custom),
        "created_at": at,
        "updated_at": at,
        "last_active": at,
        "online": True,
        "banned": False,
        "invisible": False,
        "blocked_user_ids": [],
    }
    for name, value in (("name", user.name), ("image", user.image)):
        if value is not None:
            me[name] = value[:_MAX_PROFILE_BYTES]
    said = {
        "type": "connection.ok",
        "connection_id": connection_id,
        "created_at": at,
        "me": me,
    }
    return text_frame(orjson.dumps(said))


def health_check(connection_id: str, now_ms: int) -> bytes:
    said = {
        "type": "health.check",
        "connection_id": connection_id,
        "created_at": _time(now_ms),
        "custom": {},
    }
    return text_frame(orjson.dumps(said))


def refused(error: StreamError, now_ms: int) -> bytes:
    """Say why there is no connection; a close follows."""
    said = {
        "type": "connection.error",
        "connection_id": "",
        "created_at": _time(now_ms),
        "error": error_body(error.code, error.status, error.message),
    }
    return text_frame(orjson.dumps(said))


def _bounded(custom: dict[str, Any] | None) -> dict[str, Any]:
    """Return what may be said back: not too long, and nothing that JSON of ours cannot hold."""
    try:
        fits = len(orjson.dumps(custom)) <= _MAX_PROFILE_BYTES
    except orjson.JSONEncodeError:  # numbers of hundreds of digits, lists in lists in lists
        return {}
    return custom if custom and fits else {}


def _time(ms: int) -> str:
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"
