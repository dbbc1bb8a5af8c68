"""Whom an event names: for the few types that also reach members who do not watch. Pure.

https://getstream.io/video/docs/javascript/advanced/events/
"""

import msgspec

# A call that rings is not watched yet by those for whom it rings.
CALLING_TYPES = frozenset(("call.ring", "call.notification", "call.created", "call.missed"))
_MOST = 1000


class _Member(msgspec.Struct, gc=False):
    user_id: str


class _User(msgspec.Struct, gc=False):
    id: str = ""


class _Call(msgspec.Struct, gc=False):
    blocked_user_ids: list[str] = []


class _Named(msgspec.Struct, gc=False):
    members: list[_Member] = []
    call: _Call | None = None


class _Someone(msgspec.Struct, gc=False):
    user: _User | None = None


_decode = msgspec.json.Decoder(_Named).decode
_decode_user = msgspec.json.Decoder(_Someone).decode


def members_of(body: bytes) -> set[str]:
    """Return the members that an event names and that its call has not blocked.

    None when it cannot be read.
    """
    try:
        said = _decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return set()
    named = {member.user_id for member in said.members[:_MOST]}
    return named.difference(said.call.blocked_user_ids) if said.call else named


def named_by(body: bytes) -> set[str]:
    """Return the members that an event names, and its `user`."""
    try:
        user = _decode_user(body).user
    except (msgspec.MsgspecError, RecursionError):
        return set()
    return members_of(body) | ({user.id} if user else set())
