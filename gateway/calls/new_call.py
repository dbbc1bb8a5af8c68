"""A call that is made here, as GetOrCreate and Join ask for it. Pure.

What the request says of a call stands in its state; the rest is what Stream would fill in, as far
as an SDK looks for it. No media is served by it. Whom it names is marked as named here alone, and
all of it holds until Stream tells of a call of that name.
"""

from typing import Any

import msgspec
import orjson

from gateway.calls import state, state_batch, times
from gateway.calls.errors import bad_input
from gateway.calls.tokens import Identity, is_user_id
from gateway.calls.users import user_object
from gateway.store.states.call_documents import CREATOR, MADE_HERE, MEMBER, Draft, Named

MAX_MEMBERS = 100  # of one request, as Stream has it
MAX_CUSTOM_BYTES, MAX_SETTINGS_BYTES = 5 << 10, 64 << 10  # Stream's settings are about 2 KB
MAX_DEPTH = 100  # of either; answers lay some levels around it, and JSON of ours has 254


class _User(msgspec.Struct, gc=False):
    id: str
    name: str | None = None
    image: str | None = None
    role: str | None = None
    custom: dict[str, Any] | None = None


class _Member(msgspec.Struct, gc=False):
    user_id: str | None = None
    user: _User | None = None
    role: str | None = None
    custom: dict[str, Any] | None = None


class Data(msgspec.Struct, gc=False):
    """What a request says of the call that it would make."""

    created_by_id: str | None = None
    created_by: _User | None = None
    custom: dict[str, Any] | None = None
    members: list[_Member] | None = None
    settings_override: dict[str, Any] | None = None
    starts_at: Any = None
    team: str | None = None


class NewCall(msgspec.Struct, gc=False):
    """The body of GetOrCreate and Join; `create` is Join's alone."""

    data: Data | None = None
    members_limit: int | None = None
    create: bool = False


_decode = msgspec.json.Decoder(NewCall).decode


def read_asked(body: bytes) -> NewCall:
    """Return what `body` asks for; an empty one asks for nothing. Raises `StreamError` 4."""
    try:
        asked = _decode(body or b"{}")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise bad_input(f"the body cannot be read: {str(error)[:200]}") from None
    if asked.data is not None and len(asked.data.members or ()) > MAX_MEMBERS:
        raise bad_input(f"one request can name {MAX_MEMBERS} members")
    return asked


def make(caller: Identity, cid: str, data: Data | None, at_ns: int) -> Draft:
    """Return the first state of a call that `caller` makes. Raises `StreamError` 4."""
    data, at = data or Data(), times.to_text(at_ns)
    creator = _creator(caller, data)
    progress = state.begin(cid, at)
    progress.call["created_by"] = _shown(creator, at)
    progress.call["custom"] = _custom(data.custom)
    progress.call["team"] = data.team or ""
    starts_ns = times.to_ns(data.starts_at)
    if data.starts_at is not None and starts_ns is None:
        raise bad_input("starts_at is a time (RFC 3339)")
    if starts_ns is not None:
        progress.call["starts_at"] = times.to_text(starts_ns)
    settings = _bounded(data.settings_override, MAX_SETTINGS_BYTES, "settings_override")
    progress.more = state.complete({"settings": settings})
    progress.users = [Named(creator.id, set=CREATOR + MADE_HERE)]
    progress.users += [_named(member, at) for member in data.members or ()]
    try:
        return state_batch.draft(caller.app, None, progress)
    except orjson.JSONEncodeError:
        raise bad_input("the call holds what JSON of ours cannot") from None


def _creator(caller: Identity, data: Data) -> _User:
    if caller.user_id is not None:
        return _User(caller.user_id, role=caller.role)
    found = data.created_by or (_User(data.created_by_id) if data.created_by_id else None)
    if found is None or not is_user_id(found.id):
        raise bad_input("a server says with `created_by_id` or `created_by` who makes the call")
    return found


def _named(member: _Member, at: str) -> Named:
    user = member.user or _User(member.user_id or "")
    if not is_user_id(user.id):
        raise bad_input("a member has a user_id")
    shown = {
        "user_id": user.id,
        "user": _shown(user, at),
        "role": member.role or "user",
        "custom": _custom(member.custom),
        "created_at": at,
        "updated_at": at,
    }
    try:
        return Named(user.id, set=MEMBER + MADE_HERE, member=orjson.dumps(shown))
    except orjson.JSONEncodeError:
        raise bad_input("a member's custom data hold what JSON of ours cannot") from None


def _shown(user: _User, at: str) -> dict[str, Any]:
    return user_object(
        user.id, at, role=user.role, name=user.name, image=user.image, custom=_custom(user.custom)
    )


def _custom(custom: dict[str, Any] | None) -> dict[str, Any]:
    return _bounded(custom, MAX_CUSTOM_BYTES, "custom")


def _bounded(told: dict[str, Any] | None, max_bytes: int, name: str) -> dict[str, Any]:
    try:
        size = len(orjson.dumps(told))
    except orjson.JSONEncodeError:
        raise bad_input(f"{name} holds a number too large, or lies too deep") from None
    if size > max_bytes:
        raise bad_input(f"{name} can have {max_bytes} bytes of JSON")
    if _lies_deeper(told, MAX_DEPTH):
        raise bad_input(f"{name} can lie {MAX_DEPTH} levels deep")
    return told or {}


def _lies_deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_lies_deeper(one, levels - 1) for one in inner)
