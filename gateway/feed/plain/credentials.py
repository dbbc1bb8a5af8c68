"""Who asks: where a client of the plain feed may put its token. Pure.

In the Authorization header, raw as Stream's SDKs send it or behind `Bearer`; as a WebSocket
subprotocol, which is what a browser can set; in the first message; or as a ticket, which may
stand in an address because it opens one connection within seconds and is worthless after.
"""

from collections.abc import Mapping
from typing import NamedTuple

# A client that brings its token as a subprotocol offers this one too: it is what we answer, for
# browsers fail a connection on which the server chooses none, and a token is not to be echoed.
PROTOCOL = "gateway.feed.v1"
_TOKEN_PROTOCOL = "token."  # noqa: S105  # a prefix


class FeedCredentials(NamedTuple):
    """What came with a request. The token's text is never logged or answered."""

    api_key: str | None
    token: str | None


def read_headers(headers: Mapping[str, str], api_key: str | None) -> FeedCredentials:
    """Return the token of a request's headers, None if it has none."""
    return FeedCredentials(api_key, _authorization(headers) or _subprotocol(headers))


def _authorization(headers: Mapping[str, str]) -> str | None:
    value = headers.get("Authorization", "").strip()
    scheme, _, rest = value.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else value) or None


def _subprotocol(headers: Mapping[str, str]) -> str | None:
    offered = headers.get("Sec-WebSocket-Protocol", "").split(",")
    tokens = [one.strip() for one in offered if one.strip().startswith(_TOKEN_PROTOCOL)]
    return tokens[0].removeprefix(_TOKEN_PROTOCOL) if tokens else None
