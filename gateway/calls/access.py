"""Who may watch a call, and send events to it.

`any`: every user of the app. `members`: those whom the call's state names, as a member or as
who created it, and who are not blocked. A token for certain calls is good for these alone, in
either mode. An application's server may do everything.
"""

from typing import Literal, Protocol

from gateway.calls.errors import not_allowed
from gateway.calls.tokens import Identity


class Names(Protocol):
    """Knows whom calls name; `gateway.stream.call_store` has the real one."""

    async def names(self, app: str, cid: str, user_id: str) -> bool:
        """Tell whether the call names this user. Raises `StreamUnavailable`."""


class Access:
    def __init__(self, mode: Literal["members", "any"], calls: Names) -> None:
        self._is_open = mode == "any"
        self._calls = calls

    async def check(self, identity: Identity, cid: str) -> None:
        """Raise `StreamError` 17 unless `identity` may watch `cid`; or `StreamUnavailable`."""
        check_token(identity, cid)
        if not self.needs_membership(identity):
            return
        assert identity.user_id is not None
        if not await self._calls.names(identity.app, cid, identity.user_id):
            raise not_allowed(f"user {identity.user_id} is no member of call {cid[:256]}")

    def needs_membership(self, identity: Identity) -> bool:
        """Tell whether a call has to name `identity` for it to be shown the call."""
        return identity.user_id is not None and not self._is_open


def check_token(identity: Identity, cid: str) -> None:
    """Raise `StreamError` 17 if the token of `identity` is for other calls."""
    if identity.call_cids is not None and cid not in identity.call_cids:
        raise not_allowed(f"the token is not for call {cid[:256]}")
