"""Whom an event names: for the few types that also reach members who do not watch. Pure.

https://getstream.io/video/docs/javascript/advanced/events/
"""

import msgspec

# A call that rings is not watched yet by those for whom it rings.
CALLING_TYPES = frozenset(("call.ring", "call.notification", "call.created", "call.missed"))
_MOST = 1000


class _Member(msgspec.Struct, gc=False):
    user_id: str


class _Named(msgspec.Struct, gc=False):
    members: list[_Member] = []


_decode = msgspec.json.Decoder(_Named).decode


def members_of(body: bytes) -> set[str]:
    """Return the ids of the members that an event names; none when it cannot be read."""
    try:
        return {member.user_id for member in _decode(body).members[:_MOST]}
    except (msgspec.MsgspecError, RecursionError):
        return set()
