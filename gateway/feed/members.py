"""Whom an event names: for the few types that also reach members who do not watch. Pure.

https://getstream.io/video/docs/javascript/advanced/events/
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec
import orjson

from gateway.event_body import read_event

# A call that rings is not watched yet by those for whom it rings.
CALLING_TYPES = frozenset(("call.ring", "call.notification", "call.created", "call.missed"))
_MOST = 1000


class _Member(msgspec.Struct, gc=False):
    user_id: str


class _User(msgspec.Struct, gc=False):
    id: str = ""


class _Call(msgspec.Struct, gc=False):
    created_by: _User | None = None
    blocked_user_ids: list[str] | None = None


class _Named(msgspec.Struct, gc=False):
    members: list[_Member] | None = None
    call: _Call | None = None


class _Who(msgspec.Struct, gc=False):
    user: _User | None = None
    call: _Call | None = None


_decode = msgspec.json.Decoder(_Named).decode
_decode_who = msgspec.json.Decoder(_Who).decode


def members_of(body: bytes) -> set[str]:
    """Return the members that an event names and its call has not blocked.

    None of them when it cannot be read.
    """
    said = _read(_decode, body)
    if said is None:
        return set()
    blocked = (said.call and said.call.blocked_user_ids) or ()
    return {member.user_id for member in (said.members or ())[:_MOST]}.difference(blocked)


def blocked_by(body: bytes) -> list[str]:
    """Return whom the call that an event brings has blocked."""
    said = _read(_decode_who, body)
    return (said and said.call and said.call.blocked_user_ids) or []


def named_by(body: bytes) -> set[str]:
    """Return whom an event names in any way: members, its user, who created its call."""
    said = _read(_decode_who, body)
    if said is None:
        return set()
    creator = said.call.created_by if said.call else None
    return members_of(body) | {one.id for one in (said.user, creator) if one}


T = TypeVar("T")


def _read(decode: Callable[[bytes], T], body: bytes) -> T | None:
    try:
        return decode(body)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        return decode(orjson.dumps(read_event(body)))
    except (msgspec.MsgspecError, RecursionError, orjson.JSONEncodeError):
        return None
