"""From the body and headers of a webhook to an event, or to the answer that refuses it. Pure.

What is signed is never refused: a body that is no event becomes an `Event` that says so in
`unfit`, is stored like any other and ends in the dead letters. Only what routing needs is
decoded, `type` and `call_cid`; the body itself stays as it is.
"""

import json
import re
from typing import Any

import msgspec

from gateway.event import Event
from gateway.ingest.answers import (
    INFLATES_TOO_LARGE,
    UNAUTHORIZED,
    UNSUPPORTED_ENCODING,
    Answer,
)
from gateway.ingest.inflate import MAGIC, Failure, inflate
from gateway.ingest.signature import Verifier
from gateway.options import App, IngestOptions

MAX_DEPTH = 128
MAX_CALL_CID_BYTES = 256
MAX_WEBHOOK_ID = 128
NOT_AN_EVENT = "not_an_event"

_INFLATABLE = {b"", b"gzip", b"x-gzip", b"identity"}
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")
# A whole string, or what is left of an unfinished one; possessive, so that time stays linear.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")


class _Routing(msgspec.Struct, gc=False):
    type: str
    call_cid: Any = None


_decode_routing = msgspec.json.Decoder(_Routing).decode


class Acceptance:
    """Judges webhooks."""

    def __init__(self, apps: tuple[App, ...], options: IngestOptions) -> None:
        self.verifier = Verifier(apps)
        self._max_bytes = options.max_body_bytes

    def judge(
        self,
        *,
        body: bytes,
        api_key: bytes | None,
        signature: bytes | None,
        webhook_id: bytes | None,
        content_encoding: bytes | None,
        now_ms: int,
    ) -> Event | Answer:
        """Return the event that `body` brings, or the refusal. Header values as received.

        An empty `api_key` counts as none. Only a valid signature makes an event.
        """
        content: bytes | Failure = body
        if body.startswith(MAGIC):
            content = inflate(body, self._max_bytes)
            if content is Failure.TOO_LARGE:
                return INFLATES_TOO_LARGE
        if isinstance(content, Failure):
            app = None
        else:
            app = self.verifier.verify(api_key or None, content, signature)
        if app is None or signature is None or isinstance(content, Failure):
            return refusal(content_encoding)
        route = routing(content)
        return Event(
            app=app.api_key,
            type=route[0] if route else "",
            call_cid=route[1] if route else None,
            accepted_ms=now_ms,
            key=self.verifier.event_key(app, content),
            body=content,
            webhook_id=_webhook_id(webhook_id),
            signature=signature.decode(),
            unfit="" if route else NOT_AN_EVENT,
        )


def refusal(content_encoding: bytes | None) -> Answer:
    """Return the answer to what nobody has signed, as far as it could be read."""
    foreign = content_encoding and content_encoding.lower() not in _INFLATABLE
    return UNSUPPORTED_ENCODING if foreign else UNAUTHORIZED


def routing(body: bytes) -> tuple[str, str | None] | None:
    """Return the type and the usable call_cid of an event, or None if `body` is no event."""
    if too_deep(body):
        return None
    try:
        if not body.isascii():
            body.decode()
        found = _decode_routing(body)
    except UnicodeDecodeError:
        return None
    except (msgspec.MsgspecError, RecursionError):
        return _routing_of_unusual(body)
    return found.type, _usable(found.call_cid)


def _routing_of_unusual(body: bytes) -> tuple[str, str | None] | None:
    """Do the same by a decoder that also takes lone surrogates and a key of two types."""
    try:
        # As floats: an int of 4,301 digits is valid JSON that `int` refuses.
        found = json.loads(body.decode(), parse_int=float, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    kind = found.get("type") if isinstance(found, dict) else None
    if not isinstance(kind, str) or _utf8(kind) is None:
        return None
    return kind, _usable(found.get("call_cid"))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _utf8(text: str) -> bytes | None:
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return None


def _usable(call_cid: object) -> str | None:
    """Return `call_cid` if it is a string of 1 to 256 bytes, else None."""
    if not isinstance(call_cid, str):
        return None
    encoded = _utf8(call_cid)
    return call_cid if encoded and len(encoded) <= MAX_CALL_CID_BYTES else None


def too_deep(body: bytes) -> bool:
    """Tell whether brackets nest beyond `MAX_DEPTH`; those inside strings do not count."""
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NOT_BRACKETS):
        if bracket in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        else:
            depth -= 1
    return False


def _webhook_id(received: bytes | None) -> str:
    """Return the unsigned id cut to a harmless length, or nothing if it is not printable."""
    if not received:
        return ""
    cut = received[:MAX_WEBHOOK_ID]
    return cut.decode() if _PRINTABLE.fullmatch(cut) else ""
