"""Whom calls name as of now: by their states, and by what the keeper has not taken in yet.

Who may watch is decided by it, so it must not be a keeper's pace behind: a member that was
removed a moment ago is none, however long the states stand still.
"""

from collections.abc import Iterable, Sequence

from gateway.calls.keeping import UNCHANGED, Outcome, Told, outcome
from gateway.calls.state import CROWD_MOVES, SAYS_NOTHING
from gateway.stream.call_documents import Document, User
from gateway.stream.call_store import CallStore
from gateway.stream.connection import Engine
from gateway.stream.unread import Unread, UnreadEvents


class KnownCalls(CallStore):
    """The store of call states, whose answers about users are those of now.

    Everything raises `StreamUnavailable` or `StreamRefused`. Make it inside the running loop.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._unread = UnreadEvents(engine, SAYS_NOTHING | CROWD_MOVES)

    async def users_of(self, app: str, cids: Sequence[str], user_id: str) -> list[User | None]:
        # In this order: what is taken in between two of these is then seen twice, which changes
        # nothing, and never not at all.
        unread = await self._unread.of(app, cids)
        behind = [cid for cid in cids if cid in unread]
        states = dict(zip(behind, await self.documents(app, behind), strict=True)) if behind else {}
        found = await super().users_of(app, cids, user_id)
        return [
            _after(user, user_id, _outcome(app, cid, states[cid], unread[cid]))
            if cid in unread
            else user
            for cid, user in zip(cids, found, strict=True)
        ]


def _outcome(app: str, cid: str, read: Document | None, events: Iterable[Unread]) -> Outcome:
    """Say what becomes of a call by `events`, of which its state may have the first ones."""
    if ":" not in cid:
        return UNCHANGED
    return outcome(app, cid, read, [Told(one.id, one.meta, one.body) for one in events])


def _after(user: User | None, user_id: str, next_one: Outcome) -> User | None:
    """Return how a call names a user that it has named as `user`."""
    flags = set() if user is None or next_one.forget else set(user.flags)
    member = b"" if user is None or next_one.forget else user.member
    for change in next_one.draft.users if next_one.draft else ():
        if change.user_id == user_id:
            flags = (flags | set(change.set)) - set(change.clear)
            member = change.member or member
    return User("".join(sorted(flags)), member if "m" in flags else b"") if flags else None
