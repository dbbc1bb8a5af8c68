"""The headers between us and an HTTP subscriber, both ways. Pure.

They are Stream's own, so a handler written for Stream works behind the gateway unchanged: the
signature as received while its secret is configured, else made anew with the newest one.
Configured headers come on top, but never in place of those that identify and frame the event.
"""

import hmac
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.event import Meta
from gateway.options import App
from gateway.subscribers.delivery import Attempt

# What a configured header cannot set, in lower case: what identifies the event, and what frames
# the request.
RESERVED = frozenset(
    {
        "x-webhook-id", "x-webhook-attempt", "x-api-key", "x-signature", "x-gateway-late",
        "content-length", "transfer-encoding", "content-encoding", "connection", "expect",
    }
)  # fmt: skip
_MAX_ID_CHARACTERS = 256


def sign(secret: str, body: bytes) -> str:
    """Return X-SIGNATURE as Stream makes it: HMAC-SHA256 over the body, 64 lower-case hex."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


class Signatures:
    """Which X-SIGNATURE an event goes out with."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._secrets = {app.api_key: app.secrets for app in apps}

    def of(self, meta: Meta, body: bytes) -> str:
        """Return the signature; empty where neither one was received nor a secret is known."""
        secrets = self._secrets.get(meta.app)
        if not secrets:
            return meta.signature  # the app was removed from the configuration: we cannot judge
        newest = sign(secrets[0], body)
        if any(meta.signature == sign(secret, body) for secret in secrets[1:]):
            return meta.signature
        return newest


def webhook_id(meta: Meta) -> str:
    """X-WEBHOOK-ID is not signed: what could not stand in a header line gives way to our key."""
    received = meta.webhook_id
    fits = received.isascii() and received.isprintable() and len(received) <= _MAX_ID_CHARACTERS
    return received if received and fits else meta.key


class RequestHeaders:
    """Makes the headers of each attempt for one subscriber."""

    def __init__(
        self, *, apps: Iterable[App], configured: Iterable[tuple[str, str]], user_agent: str
    ) -> None:
        self._signatures = Signatures(apps)
        defaults = {
            "Content-Type": "application/json",
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",  # a snippet for the dead letter should be readable
        }
        added = {name: text for name, text in configured if name.lower() not in RESERVED}
        taken = {name.lower() for name in added}
        kept = {name: text for name, text in defaults.items() if name.lower() not in taken}
        self._constant = kept | added

    def of(self, attempt: Attempt) -> dict[str, str]:
        """Return all headers of this attempt but Host and Content-Length."""
        meta = attempt.meta
        headers = self._constant | {
            "X-WEBHOOK-ID": webhook_id(meta),
            "X-WEBHOOK-ATTEMPT": str(attempt.number),
            "X-API-KEY": meta.app,
        }
        if signature := self._signatures.of(meta, attempt.body):
            headers["X-SIGNATURE"] = signature
        if attempt.late:
            headers["X-Gateway-Late"] = "1"
        return headers


def read_retry_after(headers: Mapping[str, str], now_ms: int) -> float | None:
    """Return Retry-After in seconds from now, never negative; None if absent or unreadable."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])  # ten digits are 300 years; more would overflow somewhere
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware: datetime = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now_ms / 1000)
