"""What clients of the plain feed ask for: messages and query strings, checked. Pure.

A message is a JSON object with a `type`; a query string says the same as a first `watch`. What
we do not know is refused rather than ignored: a filter with a slip of the pen would otherwise
watch everything.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
from multidict import MultiMapping

from gateway.feed.plain.refusals import BadRequest
from gateway.feed.plain.type_filter import TypeFilter, TypeFilterError

MAX_CID_BYTES = 256


class Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One message of a client. `token` and `api_key`: in the first one only."""

    type: Literal["watch", "unwatch", "ping"]
    calls: tuple[str, ...] = ()
    types: tuple[str, ...] | None = None
    since: str | None = None
    snapshot: bool = False
    token: str | None = None
    api_key: str | None = None


Query = MultiMapping[str]
_decode = msgspec.json.Decoder(Message).decode
_TRUE, _FALSE = ("1", "true"), ("0", "false", "")
_ONCE = ("api_key", "ticket", "since", "snapshot")
_MANY = ("call", "type")


def read_message(text: str | bytes) -> Message:
    """Return the message in `text`. Raises `BadRequest`."""
    try:
        message = _decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
        raise BadRequest(f"not a message of this feed: {error}") from error
    if message.type != "ping" and not message.calls:
        raise BadRequest(f"{message.type} needs calls")
    check_calls(message.calls)
    read_types(message)
    return msgspec.structs.replace(message, calls=tuple(dict.fromkeys(message.calls)))


def read_query(query: Query, *, last_event_id: str | None = None) -> Message:
    """Return the `watch` that a query string stands for; without calls it is empty.

    `last_event_id` is newer than `since` in an address that a browser uses again. Raises
    `BadRequest`, also for a token: addresses end up in logs and histories.
    """
    names = set(query.keys())
    if "token" in names or "authorization" in {name.lower() for name in names}:
        raise BadRequest(
            "a token has no place in an address: send it in the Authorization header, in the"
            " first message, or get a ticket from POST /feed/tickets"
        )
    if unknown := sorted(names - {*_ONCE, *_MANY}):
        raise BadRequest(f"unknown parameter {unknown[0][:40]!r}")
    once = {name: _one(query, name) for name in _ONCE}
    snapshot = once["snapshot"] or ""
    if snapshot not in (*_TRUE, *_FALSE):
        raise BadRequest("snapshot is 1 or 0")
    message = Message(
        "watch",
        calls=tuple(query.getall("call", ())),
        types=tuple(query.getall("type", ())) or None,
        since=last_event_id or once["since"] or None,
        snapshot=snapshot in _TRUE,
        api_key=once["api_key"],
    )
    check_calls(message.calls)
    read_types(message)
    return msgspec.structs.replace(message, calls=tuple(dict.fromkeys(message.calls)))


def read_types(message: Message) -> TypeFilter | None:
    """Return the filter that a message sets, None when it says nothing. Raises `BadRequest`."""
    if message.types is None:
        return None
    try:
        return TypeFilter(message.types)
    except TypeFilterError as error:
        raise BadRequest(str(error)) from error


def check_calls(calls: Sequence[str]) -> None:
    """Raise `BadRequest` unless each of `calls` could be the `call_cid` of an event."""
    for cid in calls:
        try:
            fits = 0 < len(cid.encode()) <= MAX_CID_BYTES and ":" in cid
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise BadRequest("a call is named by type:id, at most 256 bytes")


def _one(query: Query, name: str) -> str | None:
    values = query.getall(name, ())
    if len(values) > 1:
        raise BadRequest(f"{name} is there more than once")
    return values[0] if values else None
