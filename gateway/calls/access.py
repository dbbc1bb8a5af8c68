"""Who may watch a call, and send events to it.

Of an application's users, those whom the call's state names, as a member or as who created it;
those whose token names the call, also before anything is known of it; and everybody, where the
app is open. Whoever the call has blocked may not, whatever else speaks for him. What a token says
of a role, or of other calls, decides nothing. An application's server may do everything.

Anybody may make a call here, under any name. Whom such a call lets in may watch it until Stream
tells of one of that name; and nobody, where Stream is asked, for there are no such calls then.
"""

from collections.abc import Container, Sequence
from typing import Protocol

from gateway.calls.errors import not_allowed
from gateway.calls.tokens import Identity
from gateway.store.states.call_documents import User


class CallNames(Protocol):
    """Knows whom calls name; `gateway.store.states.call_store` has the real one."""

    async def users_of(self, app: str, cids: Sequence[str], user_id: str) -> list[User | None]:
        """Return how each of `cids` names the user. Raises `EngineUnavailable`."""


class Access:
    def __init__(
        self, open_apps: Container[str], calls: CallNames, *, made_here_counts: bool = True
    ) -> None:
        """`open_apps`: the API keys whose every user may watch every call.

        `made_here_counts`: a call that was made here lets in whom it names.
        """
        self._open_apps = open_apps
        self._calls, self._made_here_counts = calls, made_here_counts

    async def check(self, identity: Identity, cid: str) -> bool:
        """Raise `StreamError` 17 unless `identity` may watch `cid`; or `EngineUnavailable`.

        Returns whether only a call that was made here lets him in.
        """
        if identity.user_id is None:
            return False
        (named,) = await self._calls.users_of(identity.app, [cid], identity.user_id)
        if not self.lets_in(identity, cid, named):
            raise not_allowed(f"user {identity.user_id} is no member of call {cid[:256]}")
        return self.is_made_here(identity, cid, named)

    def lets_in(self, identity: Identity, cid: str, named: User | None) -> bool:
        """Tell whether `identity` may watch `cid`, which names its user so (None: not at all)."""
        if identity.user_id is None:
            return True
        if named is not None and named.is_blocked:
            return False
        is_named = named is not None and named.may_watch and self._counts(named)
        return is_named or cid in identity.call_cids or not self.needs_membership(identity)

    def is_made_here(self, identity: Identity, cid: str, named: User | None) -> bool:
        """Tell whether only a call that was made here lets `identity` in, whom it names so."""
        if named is None or cid in identity.call_cids or not self.needs_membership(identity):
            return False
        return named.is_of_call_made_here

    def _counts(self, named: User) -> bool:
        return self._made_here_counts or not named.is_of_call_made_here

    def needs_membership(self, identity: Identity) -> bool:
        """Tell whether a call, or the token, has to name `identity` for it to be shown the call."""
        return identity.user_id is not None and identity.app not in self._open_apps
