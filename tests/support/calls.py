"""Call states, written past everything that makes them."""

from collections.abc import Iterable

from gateway.store.states.call_documents import Draft, Named
from gateway.store.states.call_store import CallStore


async def make_call(
    store: CallStore,
    app: str,
    cid: str,
    users: Iterable[Named] = (),
    *,
    call: bytes = b'{"id":"x"}',
    created_ms: int = 1,
) -> None:
    """Write a state, or the next one, whose call is `call`."""
    (read,) = await store.documents(app, [cid])
    assert await store.put(Draft(app, cid, read, call, created_ms, b"{}", list(users)))
