"""Guests: who has no token gets one, under a name that no user can have been given.

Anybody may ask, so a guest never takes the id that was asked for: it is made part of a new one,
and its token is good here alone. Off unless the configuration turns it on.
"""

import time
from uuid import uuid4

import msgspec
from aiohttp import web

from gateway.api.answering import Said
from gateway.api.asking import read_body
from gateway.calls.allowance import Allowance
from gateway.calls.errors import bad_input, not_allowed, unknown_key
from gateway.calls.times import to_text
from gateway.calls.tokens import GUEST_PREFIX, GUEST_ROLE, Tokens, is_user_id
from gateway.calls.users import user_object

LIFETIME_S = 24 * 3600.0
_MAX_ID_CHARS, _MAX_TEXT_CHARS = 64, 1024


class _User(msgspec.Struct, gc=False):
    id: str
    name: str | None = None
    image: str | None = None


class _Asked(msgspec.Struct, gc=False):
    user: _User


_decode = msgspec.json.Decoder(_Asked).decode


class Guests:
    """`apps`: the API keys that may ask; `enabled`: whether there are guests at all."""

    def __init__(
        self,
        tokens: Tokens,
        allowance: Allowance,
        apps: frozenset[str],
        body_timeout_s: float,
        *,
        enabled: bool,
    ) -> None:
        self._tokens, self._allowance, self._apps = tokens, allowance, apps
        self._body_timeout_s, self._enabled = body_timeout_s, enabled

    async def create(self, request: web.Request) -> Said:
        api_key = request.query.get("api_key")
        if api_key is None or api_key not in self._apps:
            raise unknown_key()
        if not self._enabled:
            raise not_allowed("there are no guests here")
        user = _read(await read_body(request, self._body_timeout_s))
        await self._allowance.guest(api_key)
        user_id, now_ns = f"{GUEST_PREFIX}{uuid4()}-{user.id}", time.time_ns()
        if not is_user_id(user_id):
            raise bad_input("the guest's id has too many bytes")
        token = self._tokens.issue_guest(
            api_key, user_id, now_s=now_ns / 1e9, lifetime_s=LIFETIME_S
        )
        at = to_text(now_ns)
        told = user_object(user_id, at, role=GUEST_ROLE, name=user.name, image=user.image)
        return Said(201, {"user": told, "access_token": token})


def _read(body: bytes) -> _User:
    try:
        user = _decode(body).user
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise bad_input("a guest is an object `user` with an `id`") from None
    if not is_user_id(user.id) or len(user.id) > _MAX_ID_CHARS:
        raise bad_input(f"a guest's id has 1 to {_MAX_ID_CHARS} characters")
    if any(len(text or "") > _MAX_TEXT_CHARS for text in (user.name, user.image)):
        raise bad_input(f"a guest's name and image have {_MAX_TEXT_CHARS} characters at most")
    return user
