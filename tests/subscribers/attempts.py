"""Attempts to hand to a subscriber under test."""

from typing import Any

from gateway.event import Meta
from gateway.options import App
from gateway.subscribers.contract import Attempt

DEMO = App(api_key="demo-key", secrets=("new-secret", "old-secret"))
BODY = b'{"type":"call.created","call_cid":"default:x","text":"\\u0026 \xc3\xa4"}'
KEY = "ab" * 16


def attempt(
    *,
    body: bytes = BODY,
    number: int = 1,
    timeout_s: float = 60.0,
    late: bool = False,
    **meta: Any,
) -> Attempt:
    fields: dict[str, Any] = {
        "app": "demo-key",
        "type": "call.created",
        "call_cid": "default:x",
        "accepted_ms": 1_700_000_000_000,
        "key": KEY,
        "webhook_id": "hook-1",
    }
    return Attempt(Meta(**(fields | meta)), body, number, timeout_s, late)
