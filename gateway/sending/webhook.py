"""One webhook: its body made fresh, its signature, its headers. Pure but for the random id.

A body is never parsed and dumped: only the bytes of its `created_at` are replaced, in the
encoding that they have, because Stream's own bodies come in two and both must stay as they are.
"""

import hmac
import re
from datetime import UTC, datetime
from uuid import uuid4

# Strings (with their escapes), brackets, and runs of anything else: enough to know the depth.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]|[^\s"{}\[\]:,]+')
_RFC3339 = re.compile(rb'"\d{4}-\d\d-\d\dT[^"]*"')
_KEY = b'"created_at"'
_S = 1_000_000_000


def prepare(body: bytes, now_ns: int) -> bytes:
    """Return `body` with `created_at` set to `now_ns` (Unix nanoseconds), all else unchanged.

    A body without one at its top level, or in neither of Stream's encodings, comes back as it
    is: it may be wrong on purpose.
    """
    span = _created_at(body)
    if span is None:
        return body
    old = body[slice(*span)]
    if old.isdigit():
        new = b"%d" % now_ns
    elif _RFC3339.fullmatch(old):
        new = b'"%s"' % rfc3339(now_ns).encode()
    else:
        return body
    return body[: span[0]] + new + body[span[1] :]


def _created_at(body: bytes) -> tuple[int, int] | None:
    """Return where the value of the top level's `created_at` begins and ends."""
    depth, tokens = 0, _TOKEN.finditer(body)
    for token in tokens:
        match token[0]:
            case b"{" | b"[":
                depth += 1
            case b"}" | b"]":
                depth -= 1
            case text if depth == 1 and text == _KEY and _is_key(body, token.end()):
                value = next(tokens, None)
                return value.span() if value else None
    return None


def _is_key(body: bytes, end: int) -> bool:
    return body[end:].lstrip()[:1] == b":"


def rfc3339(now_ns: int) -> str:
    """Write Unix nanoseconds as Stream's backend does, with nine digits."""
    seconds, fraction = divmod(now_ns, _S)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def sign(body: bytes, secret: str) -> str:
    """Return Stream's signature: the HMAC-SHA256 of the uncompressed body, in lower-case hex."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def headers(body: bytes, *, api_key: str, secret: str) -> dict[str, str]:
    """Return the headers of the first attempt to send `body`, under a new X-WEBHOOK-ID.

    Without an `api_key` there is no X-API-KEY: the receiver has to try its secrets.
    """
    named = {"X-API-KEY": api_key} if api_key else {}
    return {
        "Content-Type": "application/json",
        "X-WEBHOOK-ID": str(uuid4()),
        "X-WEBHOOK-ATTEMPT": "1",
        **named,
        "X-SIGNATURE": sign(body, secret),
    }
