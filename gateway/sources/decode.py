"""From the text of a message to an event. Pure.

Stream sends a body as it is, in base64, or gzipped in base64, and through SNS in an envelope
around any of these; the text tells which. The queue's policy is what authenticates it: there is
no signature. Like a webhook, a message is never refused: what is no event says so in `unfit`
and ends in the dead letters.

https://getstream.io/video/docs/api/webhooks/sqs/
"""

import binascii
from base64 import b64decode
from typing import NamedTuple

import msgspec

from gateway.event import Event
from gateway.ingest.acceptance import NOT_AN_EVENT, routing
from gateway.ingest.inflate import MAGIC, Failure, inflate
from gateway.ingest.signature import Verifier
from gateway.options import App

TOO_LARGE = "too_large"


class Content(NamedTuple):
    """The body that a text brings; with `unfit`, what is kept of the text instead."""

    body: bytes
    unfit: str = ""


class _Envelope(msgspec.Struct, gc=False):
    Type: str
    TopicArn: str
    Message: str


_decode_envelope = msgspec.json.Decoder(_Envelope).decode


def decode(text: str, max_bytes: int) -> Content:
    """Return the body, of at most `max_bytes`. Bytes of raw JSON stay as they came."""
    text = _unwrapped(text)
    raw = text.encode(errors="replace")
    if text.lstrip()[:1] == "{":
        return _bounded(raw, raw, max_bytes)
    packed = _from_base64(raw)
    if packed is None:
        return Content(raw[:max_bytes], NOT_AN_EVENT)
    if not packed.startswith(MAGIC):
        if packed.lstrip()[:1] != b"{":  # a word that happens to be base64
            return Content(raw[:max_bytes], NOT_AN_EVENT)
        return _bounded(packed, raw, max_bytes)
    body = inflate(packed, max_bytes)
    if isinstance(body, Failure):
        why = TOO_LARGE if body is Failure.TOO_LARGE else NOT_AN_EVENT
        return Content(raw[:max_bytes], why)
    return Content(body)


def event_of(
    text: str, app: App, verifier: Verifier, *, max_bytes: int, source: str, now_ms: int
) -> Event:
    """Return the event that `text` brings for `app`."""
    body, unfit = decode(text, max_bytes)
    route = None if unfit else routing(body)
    return Event(
        app=app.api_key,
        type=route[0] if route else "",
        call_cid=route[1] if route else None,
        accepted_ms=now_ms,
        key=verifier.event_key(app, body),
        body=body,
        source=source,
        unfit="" if route else unfit or NOT_AN_EVENT,
    )


def _unwrapped(text: str) -> str:
    """Return the message in an envelope of SNS, or `text` if there is none around it."""
    if '"TopicArn"' not in text[:4096]:
        return text
    try:
        envelope = _decode_envelope(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return text
    return envelope.Message if envelope.Type == "Notification" else text


def _bounded(body: bytes, raw: bytes, max_bytes: int) -> Content:
    return Content(body) if len(body) <= max_bytes else Content(raw[:max_bytes], TOO_LARGE)


def _from_base64(text: bytes) -> bytes | None:
    try:
        return b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        return None
