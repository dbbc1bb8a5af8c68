"""Call states, written past everything that makes them."""

from gateway.store.states.call_documents import Draft
from gateway.store.states.call_store import CallStore


async def make_call(store: CallStore, app, cid, users=(), *, call=b'{"id":"x"}', created_ms=1):
    """Write a state, or the next one, whose call is `call`."""
    (read,) = await store.documents(app, [cid])
    assert await store.put(Draft(app, cid, read, call, created_ms, b"{}", list(users)))
