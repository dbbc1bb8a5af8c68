"""Whom events have lately shut out of calls, and when.

Who asked to watch before such an event, and comes to it after, is refused: what he was told may
be what was true before. Who asked after it was told the truth. Remembered for longer than asking
takes. A deletion shuts out everybody but those who may watch any call of that name.
"""

from time import monotonic

REMEMBERED_S, _MOST = 8.0, 20_000

Call = tuple[str, str]  # app and call_cid


class ShutOut:
    """`remembered_s`: as long as asking may take."""

    def __init__(self, remembered_s: float = REMEMBERED_S) -> None:
        self._remembered_s = remembered_s
        self._users: dict[tuple[str, str, str], dict[str, float]] = {}  # by what, and when
        self._deleted: dict[Call, float] = {}

    def add(self, app: str, cid: str, user_id: str, kind: str) -> None:
        now = monotonic()
        before = self._users.pop((app, cid, user_id), {})
        for key, told in tuple(self._users.items())[:2]:
            if max(told.values()) < now - self._remembered_s or len(self._users) >= _MOST:
                del self._users[key]
        self._users[app, cid, user_id] = {**before, kind: now}

    def forget(self, app: str, cid: str, user_id: str, kind: str) -> None:
        """Let a user in again, as far as it is by an event of this type that he is out."""
        told = self._users.get((app, cid, user_id), {})
        told.pop(kind, None)
        if not told:
            self._users.pop((app, cid, user_id), None)

    def add_deleted(self, app: str, cid: str) -> None:
        now = monotonic()
        self._deleted.pop((app, cid), None)
        for key, at_s in tuple(self._deleted.items())[:2]:
            if at_s < now - self._remembered_s or len(self._deleted) >= _MOST:
                del self._deleted[key]
        self._deleted[app, cid] = now

    def by_what(self, app: str, cid: str, user_id: str, asked_s: float | None = None) -> set[str]:
        """Return all types of events that have shut out a user since `asked_s`, monotonic.

        Without it: of late.
        """
        told, since_s = self._users.get((app, cid, user_id), {}), self._since(asked_s)
        return {kind for kind, at_s in told.items() if at_s >= since_s}

    def was_deleted(self, app: str, cid: str, asked_s: float | None = None) -> bool:
        at_s = self._deleted.get((app, cid))
        return at_s is not None and at_s >= self._since(asked_s)

    def _since(self, asked_s: float | None) -> float:
        return monotonic() - self._remembered_s if asked_s is None else asked_s
