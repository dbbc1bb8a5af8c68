"""Tokens: who somebody is, as an app's secret vouches for it. Pure.

HS256 and nothing else; whatever the token itself says of its algorithm is only compared. Both
live secrets of an app are good. The signature is checked before any claim is read, in constant
time. Verified here and not by a library because everybody comes back at once after a restart:
9 us a token instead of 70 to 120.

A valid signature without a `user_id` is an application's server: node-sdk sends
`{"server": true}`, getstream `{}`. RFC 7515, RFC 7519; stream.py `_create_token`, stream-node
src/utils/create-token.ts.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.calls.errors import (
    TOKEN_BEFORE_IAT,
    TOKEN_EXPIRED,
    TOKEN_NOT_YET,
    TOKEN_SIGNATURE,
    StreamError,
    unauthenticated,
    unknown_key,
)
from gateway.options import App

MAX_TOKEN_CHARS = 8192  # about what a header line may hold
MAX_USER_ID_BYTES = 255
LEEWAY_S = 10.0  # between the clock that made a token and ours
_HEADER = b'{"alg":"HS256","typ":"JWT"}'


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token stands for. `user_id` None: a server; `call_cids` None: any call."""

    app: str
    user_id: str | None
    call_cids: frozenset[str] | None = None
    expires_s: float | None = None  # Unix seconds
    role: str | None = None

    @property
    def is_server(self) -> bool:
        return self.user_id is None


class _Header(msgspec.Struct, gc=False):
    alg: str
    crit: Any = None  # "must be understood": we understand none


class _Claims(msgspec.Struct, gc=False):
    user_id: str | msgspec.UnsetType = msgspec.UNSET
    call_cids: list[str] | None = None
    role: str | None = None
    iat: float | None = None
    nbf: float | None = None
    exp: float | None = None


_decode_header = msgspec.json.Decoder(_Header).decode
_decode_claims = msgspec.json.Decoder(_Claims).decode


class Tokens:
    """Verifies and issues the tokens of all apps."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._secrets = {app.api_key: [text.encode() for text in app.secrets] for app in apps}

    def verify(self, api_key: str | None, token: str | None, now_s: float) -> Identity:
        """Return whom `token` stands for at `now_s` (Unix seconds). Raises `StreamError`."""
        secrets = self._secrets.get(api_key or "")
        if secrets is None or api_key is None:
            raise unknown_key()
        if not token:
            raise unauthenticated("a token is needed")
        if len(token) > MAX_TOKEN_CHARS:
            raise unauthenticated("the token is too long")
        claims = _claims(_verified(token, secrets))
        _check_times(claims, now_s)
        return _identity(api_key, claims)

    def issue(
        self,
        api_key: str,
        user_id: str,
        *,
        now_s: float,
        lifetime_s: float,
        role: str | None = None,
    ) -> str:
        """Return a token for `user_id`, signed with the app's newest secret.

        `api_key` is a configured one.
        """
        claims: dict[str, Any] = {
            "user_id": user_id, "iat": int(now_s), "exp": int(now_s + lifetime_s),
        }  # fmt: skip
        if role is not None:
            claims["role"] = role
        content = _base64(_HEADER) + b"." + _base64(msgspec.json.encode(claims))
        return (content + b"." + _signature(self._secrets[api_key][0], content)).decode()


def _verified(token: str, secrets: list[bytes]) -> bytes:
    """Return the payload of a token that one of `secrets` has signed. Raises `StreamError`."""
    parts = token.split(".")
    if len(parts) != 3 or not token.isascii():
        raise unauthenticated("this is no token")
    header = _header(parts[0])
    content, signature = f"{parts[0]}.{parts[1]}".encode(), parts[2].encode()
    signed = False
    for secret in secrets:
        signed |= hmac.compare_digest(_signature(secret, content), signature)
    if header.alg != "HS256" or header.crit is not None or not signed:
        raise StreamError(TOKEN_SIGNATURE, 401, "the token's signature is not valid")
    return _unbase64(parts[1])


def _header(part: str) -> _Header:
    try:
        return _decode_header(_unbase64(part))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unauthenticated("this is no token") from None


def _claims(payload: bytes) -> _Claims:
    try:
        return _decode_claims(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise unauthenticated("a claim of the token cannot be read") from None


def _check_times(claims: _Claims, now_s: float) -> None:
    if claims.exp is not None and claims.exp <= now_s:
        raise StreamError(TOKEN_EXPIRED, 401, "the token has expired")
    if claims.nbf is not None and claims.nbf > now_s + LEEWAY_S:
        raise StreamError(TOKEN_NOT_YET, 401, "the token is not valid yet")
    if claims.iat is not None and claims.iat > now_s + LEEWAY_S:
        raise StreamError(TOKEN_BEFORE_IAT, 401, "the token is used before it was issued (iat)")


def _identity(api_key: str, claims: _Claims) -> Identity:
    calls = None if claims.call_cids is None else frozenset(claims.call_cids)
    if isinstance(claims.user_id, msgspec.UnsetType):
        if calls is not None:  # limited, so no server: guessing would widen it
            raise unauthenticated("a token with call_cids needs a user_id")
        return Identity(api_key, None, None, claims.exp)
    if not is_user_id(claims.user_id):
        raise unauthenticated("the token's user_id cannot be one")
    return Identity(api_key, claims.user_id, calls, claims.exp, claims.role)


def is_user_id(text: str) -> bool:
    """Tell whether a user can be called so: 1 to 255 bytes, without control characters."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return 0 < size <= MAX_USER_ID_BYTES and not any(one < " " or one == "\x7f" for one in text)


def _signature(secret: bytes, content: bytes) -> bytes:
    return _base64(hmac.digest(secret, content, "sha256"))


def _base64(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")


def _unbase64(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise unauthenticated("this is no token") from None
