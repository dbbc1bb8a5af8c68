"""What one client of the plain feed may watch: by the call, by its token, or by Stream's word.

A call that does not name the user is no refusal: its webhook may be on its way. That it exists is
not told either.
"""

from collections.abc import Awaitable, Callable

from gateway.calls.access import Access
from gateway.calls.errors import NOT_ALLOWED, StreamError
from gateway.calls.tokens import Identity
from gateway.feed.leaving import Leaving
from gateway.feed.plain.refusals import Refusal

# (app, call_cid, token) -> whether Stream shows the call to the token's bearer. Raises
# `StreamError` where it cannot be asked.
Shows = Callable[[str, str, str], Awaitable[bool]]


class PlainAccess:
    def __init__(
        self,
        access: Access,
        leaving: Leaving,
        identity: Identity,
        *,
        shows: Shows | None,
        token: str | None,
    ) -> None:
        """Decide for `identity`.

        `shows`: None where Stream is not asked; `token`: None for who came by a ticket.
        """
        self._access, self._leaving, self._identity = access, leaving, identity
        self._shows, self._token = shows, token

    async def may_watch(self, cid: str) -> bool:
        """Tell whether the call may be watched now; False: maybe later.

        Raises `Refusal` where waiting would not help, `EngineUnavailable`.
        """
        try:
            await self._access.check(self._identity, cid)
        except StreamError as error:
            if error.code == NOT_ALLOWED and self._access.needs_membership(self._identity):
                return await self._is_shown(cid)
            raise Refusal(error.code, error.status, error.message, [cid]) from error
        return True

    async def _is_shown(self, cid: str) -> bool:
        if self._shows is None or self._token is None:
            return False
        try:
            return await self._shows(self._identity.app, cid, self._token)
        except StreamError:  # told where it happened; whoever waits is asked for again
            return False

    def is_out(self, cid: str) -> bool:
        """Tell whether an event has shut the user out of the call since it was asked."""
        one = self._identity
        granted = cid in one.call_cids
        return self._leaving.is_out(one.app, cid, one.user_id, granted=granted)
