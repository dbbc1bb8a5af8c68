"""Calls as of now: their states, and what the keeper has not taken in yet.

Who may watch is decided by it, so it must not be a keeper's pace behind: a member that was
removed a moment ago is none, however long the states stand still. What is shown of a call is as
new as that, or somebody would be let in to what it was before.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gateway.calls.state import CROWD_MOVES, DELETED, SAYS_NOTHING
from gateway.calls.state_batch import UNCHANGED, Outcome, ToldEvent, outcome
from gateway.engine.engine import Engine
from gateway.store.states.call_documents import CallDocument, Id, User, Whole
from gateway.store.states.call_store import CallStore
from gateway.store.states.unread import Unread, UnreadEvents


class KnownCalls(CallStore):
    """The store of call states, which answers `read`, `users_of`, `deletions`, and what is made of
    these, anew.

    Everything raises `EngineUnavailable` or `EngineRefused`. Make it inside the running loop.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._unread = UnreadEvents(engine, SAYS_NOTHING | CROWD_MOVES)

    # What is unread is asked for first, then states: what is taken in between the two is seen
    # twice, which changes nothing, and never not at all.

    async def read(self, app: str, cid: str) -> Whole | None:
        unread = (await self._unread.of(app, [cid])).get(cid)
        whole = await super().read(app, cid)
        if not unread:
            return whole
        next_one = _outcome(app, cid, whole.document if whole else None, unread)
        return _whole(None if next_one.forget else whole, next_one)

    async def users_of(self, app: str, cids: Sequence[str], user_id: str) -> list[User | None]:
        unread = await self._unread.of(app, cids)
        behind = [cid for cid in cids if cid in unread]
        states = dict(zip(behind, await self.documents(app, behind), strict=True)) if behind else {}
        found = await super().users_of(app, cids, user_id)
        return [
            _user(user, user_id, _outcome(app, cid, states[cid], unread[cid]))
            if cid in unread
            else user
            for cid, user in zip(cids, found, strict=True)
        ]

    async def deletions(self, app: str, cids: Sequence[str]) -> list[Id]:
        unread = await self._unread.of(app, cids)
        found = await super().deletions(app, cids)
        return [
            max([kept, *(one.id for one in unread.get(cid, ()) if one.meta.type == DELETED)])
            for cid, kept in zip(cids, found, strict=True)
        ]


def _outcome(app: str, cid: str, read: CallDocument | None, events: Iterable[Unread]) -> Outcome:
    """Say what becomes of a call by `events`, of which its state may have the first ones."""
    if ":" not in cid:
        return UNCHANGED
    return outcome(app, cid, read, [ToldEvent(one.id, one.meta, one.body) for one in events])


def _whole(before: Whole | None, next_one: Outcome) -> Whole | None:
    draft = next_one.draft
    if draft is None:
        return before
    old = before.document if before else CallDocument(0, draft.applied, 0, "", b"")
    document = replace(old, call=draft.call, applied=draft.applied, seen_ns=draft.seen_ns)
    users: dict[str, User] = dict(before.users) if before else {}
    for user_id in {change.user_id for change in draft.users}:
        user = _user(users.pop(user_id, None), user_id, next_one)
        if user is not None:
            users[user_id] = user
    more = draft.more if draft.more is not None else before.more if before else b"{}"
    return Whole(document, more, users)


def _user(user: User | None, user_id: str, next_one: Outcome) -> User | None:
    """Return how a call names a user whom it has named as `user`."""
    if next_one.forget:
        user = None
    flags, member = (set[str](), b"") if user is None else (set(user.flags), user.member)
    for change in next_one.draft.users if next_one.draft else ():
        if change.user_id == user_id:
            flags = (flags | set(change.set)) - set(change.clear)
            member = change.member or member
    return User("".join(sorted(flags)), member if "m" in flags else b"") if flags else None
