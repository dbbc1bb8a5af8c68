"""Webhooks for tests, signed as Stream signs them."""

from gateway.sending import webhook
from gateway.sending.bodies import samples

API_KEY, SECRET = "demo-key", "demo-secret"


def signed_request(body: bytes, secret: str = SECRET, api_key: str = API_KEY) -> dict[str, str]:
    """The headers of one webhook that brings `body`, with an X-WEBHOOK-ID of its own."""
    return webhook.headers(body, api_key=api_key, secret=secret)


def sample_bodies() -> dict[str, bytes]:
    """The shipped samples by name, unchanged."""
    return {sample.name: sample.body for sample in samples()}


def distinct_event(n: int, call_cid: str = "default:call-1", size_bytes: int = 0) -> bytes:
    """A valid event unlike that of any other `n`, padded to `size_bytes` if that is more."""
    head = (
        b'{"type":"custom","created_at":"2026-11-20T10:00:00.%09dZ","call_cid":"%b",'
        b'"custom":{"n":%d,"pad":"' % (n % 1_000_000_000, call_cid.encode(), n)
    )
    tail = b'"}}'
    return head + b"x" * (size_bytes - len(head) - len(tail)) + tail
