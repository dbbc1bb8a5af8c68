"""Tokens: who somebody is, as an app's secret vouches for it. Pure.

All live secrets of an app are good. A valid signature without a `user_id` is an application's
server: node-sdk sends `{"server": true}`, getstream `{}`.

What we give to strangers is signed with keys derived from those secrets, never with a secret: it
is worthless at Stream, and good here only while the app has guests. Such a token stands for a
guest whatever it says: of its claims only a guest's id and the times count. Without one it is
refused, so it is never a server, nor a user of somebody else's name.

stream.py `_create_token`, stream-node src/utils/create-token.ts.
"""

import hmac
from collections.abc import Container, Iterable
from dataclasses import dataclass

import msgspec

from gateway.calls import jws
from gateway.calls.errors import (
    TOKEN_BEFORE_IAT,
    TOKEN_EXPIRED,
    TOKEN_NOT_YET,
    StreamError,
    unauthenticated,
    unknown_key,
)
from gateway.options import App

MAX_USER_ID_BYTES = 255
LEEWAY_S = 10.0  # between the clock that made a token and ours
GUEST_PREFIX, GUEST_ROLE = "guest-", "guest"
# Part of what every version signs: another text would make all guests' tokens worthless.
_GUEST_KEYS = b"gateway guest tokens v1"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token stands for. `user_id` None: a server.

    `call_cids`: the calls that it lets its user into. `role`: what others are shown, no more.
    """

    app: str
    user_id: str | None
    call_cids: frozenset[str] = frozenset()
    expires_s: float | None = None  # Unix seconds
    role: str | None = None

    @property
    def is_server(self) -> bool:
        return self.user_id is None


class _Claims(msgspec.Struct, gc=False):
    user_id: str | msgspec.UnsetType = msgspec.UNSET
    call_cids: list[str] | None = None
    role: str | None = None
    iat: float | None = None
    nbf: float | None = None
    exp: float | None = None


_decode_claims = msgspec.json.Decoder(_Claims).decode


@dataclass(frozen=True, slots=True)
class _Keys:
    """The keys of one app, newest first: its secrets, then those that are derived of them."""

    all: tuple[bytes, ...]
    secrets: int  # how many of them are secrets


class Tokens:
    """Verifies the tokens of all apps, and issues those of guests."""

    def __init__(self, apps: Iterable[App], with_guests: Container[str] = ()) -> None:
        """`with_guests`: the API keys of apps whose guests are made here."""
        self._keys = {
            app.api_key: _keys(app, with_guests=app.api_key in with_guests) for app in apps
        }

    def verify(self, api_key: str | None, token: str | None, now_s: float) -> Identity:
        """Return whom `token` stands for at `now_s` (Unix seconds). Raises `StreamError`."""
        keys = self._keys.get(api_key or "")
        if keys is None or api_key is None:
            raise unknown_key()
        if not token:
            raise unauthenticated("a token is needed")
        number, payload = jws.signed_by(token, keys.all)
        claims = _claims(payload)
        _check_times(claims, now_s)
        return _identity(api_key, claims) if number < keys.secrets else _guest(api_key, claims)

    def issue_guest(self, api_key: str, user_id: str, *, now_s: float, lifetime_s: float) -> str:
        """Return a token for the guest `user_id`, by the key of the app's newest secret.

        `api_key` is that of an app with guests, `user_id` begins with `GUEST_PREFIX`.
        """
        keys = self._keys[api_key]
        claims = {
            "user_id": user_id,
            "role": GUEST_ROLE,
            "iat": int(now_s),
            "exp": int(now_s + lifetime_s),
        }
        return jws.sign(claims, keys.all[keys.secrets])


def guest_key(secret: str) -> bytes:
    """Return the key by which guests' tokens are signed while `secret` is live."""
    return hmac.digest(secret.encode(), _GUEST_KEYS, "sha256")


def _keys(app: App, *, with_guests: bool) -> _Keys:
    secrets = [text.encode() for text in app.secrets]
    guests = [guest_key(text) for text in app.secrets] if with_guests else []
    return _Keys((*secrets, *guests), len(secrets))


def _claims(payload: bytes) -> _Claims:
    try:
        return _decode_claims(payload)
    except jws.UNREADABLE:
        raise unauthenticated("a claim of the token cannot be read") from None


def _check_times(claims: _Claims, now_s: float) -> None:
    if claims.exp is not None and claims.exp <= now_s:
        raise StreamError(TOKEN_EXPIRED, 401, "the token has expired")
    if claims.nbf is not None and claims.nbf > now_s + LEEWAY_S:
        raise StreamError(TOKEN_NOT_YET, 401, "the token is not valid yet")
    if claims.iat is not None and claims.iat > now_s + LEEWAY_S:
        raise StreamError(TOKEN_BEFORE_IAT, 401, "the token is used before it was issued (iat)")


def _identity(api_key: str, claims: _Claims) -> Identity:
    if isinstance(claims.user_id, msgspec.UnsetType):
        if claims.call_cids is not None:  # meant for somebody: no server's
            raise unauthenticated("a token with call_cids needs a user_id")
        return Identity(api_key, None, expires_s=claims.exp)
    if not is_user_id(claims.user_id):
        raise unauthenticated("the token's user_id cannot be one")
    calls = frozenset(claims.call_cids or ())
    return Identity(api_key, claims.user_id, calls, claims.exp, claims.role)


def _guest(api_key: str, claims: _Claims) -> Identity:
    user_id = claims.user_id
    if isinstance(user_id, msgspec.UnsetType) or not is_guest_id(user_id):
        raise unauthenticated("the token's user_id is no guest's")
    return Identity(api_key, user_id, expires_s=claims.exp, role=GUEST_ROLE)


def is_guest_id(text: str) -> bool:
    """Tell whether a guest of ours can be called so."""
    return text.startswith(GUEST_PREFIX) and is_user_id(text)


def is_user_id(text: str) -> bool:
    """Tell whether a user can be called so: 1 to 255 bytes, without control characters."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return 0 < size <= MAX_USER_ID_BYTES and not any(one < " " or one == "\x7f" for one in text)
