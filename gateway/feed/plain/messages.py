"""What the plain feed says, and how it looks on a WebSocket and as server-sent events. Pure.

An event's body stands in its message byte for byte as it was signed. Built once for all watchers
of one shape (`PlainFrames`), a frame is ready to be written.
"""

import re
from collections.abc import Sequence
from typing import Any, Literal

import orjson

from gateway.feed.plain.refusals import Refusal
from gateway.feed.websocket.frames import text_frame

Style = Literal["socket", "sse"]
Recovered = bool | None

# SSE ends a line at any of these; JSON has them only between its tokens.
_LINE_END = re.compile(rb"\r\n|\n|\r")


def event(cursor: str, body: bytes, style: Style) -> bytes:
    """Return the frame of one event."""
    return _framed(b'{"cursor":"%b","event":%b}' % (cursor.encode(), body), cursor, style)


def watching(
    calls: Sequence[str],
    cursor: str,
    *,
    recovered: Recovered,
    lost: Sequence[str],
    ping_ms: int,
    style: Style,
    waiting: Sequence[str] = (),
) -> bytes:
    """Say what is watched from here on, and whether all that was missed follows.

    `recovered`: None, nothing was asked for; False, some or all of `calls`, named in `lost`,
    have missed events that are gone. `waiting`: calls that do not name the user yet.
    """
    said: dict[str, Any] = {
        "type": "watching",
        "calls": calls,
        "cursor": cursor,
        "recovered": recovered,
    }
    if recovered is False:
        said["lost"] = lost
    if waiting:
        said["waiting"] = waiting
    return _said({**said, "ping_ms": ping_ms}, style, cursor)


def gap(calls: Sequence[str], cursor: str, style: Style) -> bytes:
    """Say that events of `calls` were missed and are gone."""
    said = {"type": "gap", "recovered": False, "calls": calls, "cursor": cursor}
    return _said(said, style, cursor)


def snapshot(call_cid: str, state: bytes | None, style: Style) -> bytes:
    """Tell the state of a call as it is known; null when nothing is."""
    head = orjson.dumps({"type": "snapshot", "call_cid": call_cid})[:-1]
    return _framed(b'%b,"state":%b}' % (head, state or b"null"), None, style)


def ping(cursor: str | None, style: Style) -> bytes:
    """Show that the connection lives; the cursor moves on though nothing came for the watcher."""
    if style == "sse":
        return b": ping\n%b\n" % (b"id: %b\n" % cursor.encode() if cursor is not None else b"")
    return _said({"type": "ping", "cursor": cursor} if cursor else {"type": "ping"}, style)


def pong(style: Style) -> bytes:
    return _said({"type": "pong"}, style)


def error(refusal: Refusal, style: Style | None) -> bytes:
    """Say what was refused, and which calls if it was for them. `style` None: the bare JSON."""
    said: dict[str, Any] = {
        "type": "error",
        "code": refusal.code,
        "status": refusal.status,
        "message": refusal.message,
    }
    if refusal.calls:
        said["calls"] = refusal.calls
    return orjson.dumps(said) if style is None else _said(said, style)


def _said(said: dict[str, Any], style: Style, cursor: str | None = None) -> bytes:
    return _framed(orjson.dumps(said), cursor, style)


def _framed(message: bytes, cursor: str | None, style: Style) -> bytes:
    if style == "socket":
        return text_frame(message)
    if b"\n" in message or b"\r" in message:
        message = _LINE_END.sub(b"\ndata: ", message)
    head = b"id: %b\n" % cursor.encode() if cursor is not None else b""
    return b"%bdata: %b\n\n" % (head, message)
