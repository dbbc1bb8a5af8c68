"""Events as acceptance makes them, without a webhook around them."""

import hashlib

from gateway.clock import now_ms
from gateway.event import Event


def event(
    number: int = 0,
    *,
    app: str = "demo-key",
    call_cid: str | None = "default:room",
    body: bytes | None = None,
    accepted_ms: int | None = None,
    unfit: str = "",
) -> Event:
    body = b'{"type":"call.updated","n":%d}' % number if body is None else body
    return Event(
        app=app,
        type="call.updated",
        call_cid=call_cid,
        accepted_ms=now_ms() if accepted_ms is None else accepted_ms,
        key=hashlib.sha256(app.encode() + b"\0" + body).digest()[:16],
        body=body,
        unfit=unfit,
    )
