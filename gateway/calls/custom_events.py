"""Custom events that are made here: what a caller may say, and the event that comes of it. Pure.

Only `custom` is the caller's, and stands in the event byte for byte; type, call, sender and time
are ours. The time tells events apart that say the same: no two made by a process share it.

https://getstream.io/video/docs/javascript/guides/custom-events/
"""

from typing import Any

import msgspec
import orjson

from gateway.calls.errors import StreamError, bad_input
from gateway.calls.times import to_text
from gateway.calls.tokens import Identity, is_user_id
from gateway.calls.users import user_object

TYPE = "custom"
MAX_CUSTOM_BYTES = 5 << 10
_TOO_LARGE = 22


class _User(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    image: str | None = None
    role: str | None = None


class _Asked(msgspec.Struct, gc=False):
    custom: msgspec.Raw = msgspec.Raw(b"{}")
    user_id: str | None = None
    user: _User | None = None


_decode = msgspec.json.Decoder(_Asked).decode


class Times:
    """Moments as Unix nanoseconds, each later than the one before."""

    def __init__(self) -> None:
        self._last = 0

    def next(self, now_ns: int) -> int:
        self._last = max(now_ns, self._last + 1)
        return self._last


def custom_event(cid: str, body: bytes, sender: Identity, at_ns: int) -> bytes:
    """Return the event that `body`, a request of `sender`, asks for.

    Raises `StreamError`: 22 for more than `MAX_CUSTOM_BYTES`, 4 for what cannot be an event.
    """
    try:
        asked = _decode(body or b"{}")
        custom = bytes(asked.custom)
        content = orjson.loads(custom)
    except (msgspec.MsgspecError, orjson.JSONDecodeError, RecursionError, UnicodeDecodeError):
        raise bad_input("the body is no JSON object with `custom`") from None
    if content is None:
        custom = b"{}"
    elif not isinstance(content, dict):
        raise bad_input("`custom` is an object")
    if len(custom) > MAX_CUSTOM_BYTES:
        raise StreamError(_TOO_LARGE, 413, f"`custom` can have {MAX_CUSTOM_BYTES} bytes")
    at = to_text(at_ns)
    user = orjson.dumps(_user(asked, sender, at))
    head = orjson.dumps({"type": TYPE, "created_at": at, "call_cid": cid})[:-1]
    return b'%b,"custom":%b,"user":%b}' % (head, custom, user)


def _user(asked: _Asked, sender: Identity, at: str) -> dict[str, Any]:
    """Return who sends: the token's user, or whom an application's server names."""
    named = asked.user or _User()
    if sender.user_id is not None:
        named = _User(id=sender.user_id, role=sender.role)
    user_id = named.id or asked.user_id
    if user_id is None or not is_user_id(user_id):
        raise bad_input("a server says with `user_id` or `user` whose event it is")
    return user_object(user_id, at, role=named.role, name=named.name, image=named.image)
