"""The headers between us and an HTTP subscriber, both ways. Pure.

They are Stream's own, so a handler written for Stream works behind the gateway unchanged: the
signature as received while its secret is configured, else made anew with the newest one.
Configured headers come on top, but never in place of those that identify and frame the event.
"""

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from yarl import URL

from gateway.event import Meta
from gateway.keyed_hash import KeyedHash
from gateway.options import App
from gateway.subscribers.contract import Attempt

# What a configured header cannot set, in lower case: what identifies the event, and what frames
# the request.
RESERVED = frozenset(
    {
        "x-webhook-id",
        "x-webhook-attempt",
        "x-api-key",
        "x-signature",
        "x-gateway-late",
        "content-length",
        "transfer-encoding",
        "content-encoding",
        "connection",
        "expect",
    }
)
_MAX_ID_CHARACTERS = 256
_END = "\r\n"
_LATE = f"X-Gateway-Late: 1{_END}"


class Signatures:
    """Which X-SIGNATURE an event goes out with."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._keyed = {
            app.api_key: [KeyedHash(secret.encode()) for secret in app.secrets] for app in apps
        }

    def of(self, meta: Meta, body: bytes) -> str:
        """Return the signature; empty where neither one was received nor a secret is known."""
        keyed, received = self._keyed.get(meta.app), meta.signature
        if not keyed:  # the app was removed from the configuration: we cannot judge
            return received if _fits(received) else ""
        newest = keyed[0].sign(body)
        if received != newest and any(received == secret.sign(body) for secret in keyed[1:]):
            return received
        return newest


def _fits(text: str) -> bool:
    """Whether a header line can hold it."""
    return text.isascii() and text.isprintable()


def webhook_id(meta: Meta) -> str:
    """X-WEBHOOK-ID is not signed: what could not stand in a header line gives way to our key."""
    received = meta.webhook_id
    if received.isascii() and received.isprintable() and 0 < len(received) <= _MAX_ID_CHARACTERS:
        return received
    return meta.key


class DeliveryHead:
    """Makes the head of each request to one subscriber, from request line to empty line."""

    def __init__(
        self,
        url: str,
        *,
        apps: Iterable[App],
        configured: Iterable[tuple[str, str]],
        user_agent: str,
    ) -> None:
        self._signatures = Signatures(apps)
        target = URL(url)
        defaults = {
            "Host": target.host_port_subcomponent or "",
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",  # a snippet for the dead letter should be readable
        }
        if target.user is not None or target.password is not None:
            pair = f"{target.user or ''}:{target.password or ''}"
            defaults["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        added = {name: text for name, text in configured if name.lower() not in RESERVED}
        taken = {name.lower() for name in added}
        kept = {name: text for name, text in defaults.items() if name.lower() not in taken}
        lines = "".join(f"{name}: {text}\r\n" for name, text in (kept | added).items())
        self._constant = f"POST {target.raw_path_qs} HTTP/1.1\r\n{lines}"

    def of(self, attempt: Attempt) -> bytes:
        """Return the head of this attempt's request."""
        _, body, number, _, late = attempt
        meta = attempt.meta
        signature = self._signatures.of(meta, body)
        return (
            f"{self._constant}X-WEBHOOK-ID: {webhook_id(meta)}\r\nX-WEBHOOK-ATTEMPT: {number}\r\n"
            f"{f'X-API-KEY: {meta.app}{_END}' if meta.app.isprintable() else ''}"
            f"{f'X-SIGNATURE: {signature}{_END}' if signature else ''}"
            f"{_LATE if late else ''}Content-Length: {len(body)}\r\n\r\n"
        ).encode()


def read_retry_after(text: str, now_ms: int) -> float | None:
    """Return Retry-After in seconds from now, never negative; None if absent or unreadable."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])  # ten digits are 300 years; more would overflow somewhere
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    aware: datetime = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now_ms / 1000)
