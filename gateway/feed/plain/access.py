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
        made_here: set[str],
    ) -> None:
        """Decide for `identity`; `made_here` gets the calls that only a call made here opens.

        `shows`: None where Stream is not asked; `token`: by which it is asked.
        """
        self._access, self._leaving, self._identity = access, leaving, identity
        self._shows, self._token, self._made_here = shows, token, made_here

    async def may_watch(self, cid: str) -> bool:
        """Tell whether the call may be watched now; False: maybe later.

        Raises `Refusal` where waiting would not help, `EngineUnavailable`.
        """
        try:
            is_made_here = await self._access.check(self._identity, cid)
        except StreamError as error:
            if error.code == NOT_ALLOWED and self._access.needs_membership(self._identity):
                return await self._is_shown(cid)
            raise Refusal(error.code, error.status, error.message, [cid]) from error
        (self._made_here.add if is_made_here else self._made_here.discard)(cid)
        return True

    async def _is_shown(self, cid: str) -> bool:
        if self._shows is None or self._token is None:
            return False
        try:
            return await self._shows(self._identity.app, cid, self._token)
        except StreamError:  # told where it happened; whoever waits is asked for again
            return False

    def needs_to_be_named(self, cid: str) -> bool:
        """Tell whether it is the call itself that lets him in, and not his token or his app."""
        needs = self._access.needs_membership(self._identity)
        return needs and cid not in self._identity.call_cids

    def is_out(self, cid: str, asked_s: float) -> bool:
        """Tell whether an event has shut the user out of the call since `asked_s`, monotonic."""
        one = self._identity
        granted = cid in one.call_cids
        return self._leaving.is_out(one.app, cid, one.user_id, granted=granted, asked_s=asked_s)
