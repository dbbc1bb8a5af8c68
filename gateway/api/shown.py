"""A call's state as an answer shows it to somebody. Pure.

`own_capabilities` never has `send-audio` or `send-video`: an SDK would open the devices.
"""

from typing import Any

import orjson

from gateway.calls.tokens import Identity
from gateway.store.states.call_documents import Whole

MAX_MEMBERS = 100
_CAPABILITIES = ("read-call", "join-call")


def shown(whole: Whole, caller: Identity, members_limit: int = MAX_MEMBERS) -> dict[str, Any]:
    """Return JSON content, of which the larger parts are fragments as they are stored."""
    content: dict[str, Any] = {
        "call": orjson.Fragment(whole.call),
        "members": [orjson.Fragment(member) for member in whole.members(members_limit)],
        "own_capabilities": _CAPABILITIES,
    }
    own = whole.users.get(caller.user_id) if caller.user_id is not None else None
    if own is not None and own.member:
        content["membership"] = orjson.Fragment(own.member)
    return content
