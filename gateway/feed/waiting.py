"""Watchers that wait for a call to name them: for a webhook that has not come yet.

An event that names such a user has his watcher asked again at once. All others are asked again
in rounds, some a second, for what no event told us; they do not hold up the others where what they
ask, such as Stream, does not answer. Places are bounded, for each connection and
for all of them; who finds none is told to come again.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Protocol

from gateway.calls.state import CROWD_MOVES, SAYS_NOTHING
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.feed.members import named_by
from gateway.logs import Seldom
from gateway.store.watching.tail import TailEntry

MOST_OF_CONNECTION, MOST = 10, 10_000
_ASKING = 8  # at a time, of those whom an event names, and of the others
_ROUND_S, _LEAST_PAUSE_S = 5.0, 0.01  # between two rounds, and two who are asked in one
_AGAIN_S = 0.5
_logger = logging.getLogger(__name__)
_SILENT = SAYS_NOTHING | CROWD_MOVES  # types that name nobody who was not named before


class Waiter(Protocol):
    """A connection that waits for calls."""

    app: str
    user_id: str | None

    async def ask_again(self, call_cid: str) -> None:
        """See whether the call may be watched now. Raises `EngineUnavailable`."""


class _Due:
    """Who is to ask, the longest waiting first."""

    def __init__(self) -> None:
        self._all: dict[tuple[Waiter, str], None] = {}
        self._news = asyncio.Event()

    def add(self, place: tuple[Waiter, str]) -> None:
        self._all[place] = None
        self._news.set()

    def forget(self, place: tuple[Waiter, str]) -> None:
        self._all.pop(place, None)

    async def take(self) -> tuple[Waiter, str]:
        while not self._all:
            self._news.clear()
            await self._news.wait()
        place = next(iter(self._all))
        del self._all[place]
        return place


class Waiting:
    """All places of a process. The hub tells it of events; `run` it beside."""

    def __init__(self, *, pause_s: float = _LEAST_PAUSE_S) -> None:
        """`pause_s`: at least, between two who are asked in a round."""
        self._pause_s = pause_s
        self._places: dict[tuple[str, str], dict[Waiter, None]] = {}
        self.taken = 0
        self._named, self._others = _Due(), _Due()
        self._seldom = Seldom()

    def enter(self, one: Waiter, call_cid: str) -> bool:
        """Wait for a call; False: there is no place."""
        if self.taken >= MOST:
            return False
        self._places.setdefault((one.app, call_cid), {})[one] = None
        self.taken += 1
        self.ask(one, call_cid)  # what came since it was asked for has passed us
        return True

    def leave(self, one: Waiter, calls: Iterable[str]) -> None:
        """Wait no longer for `calls`, each of which was entered."""
        for cid in calls:
            places = self._places[one.app, cid]
            del places[one]
            if not places:
                del self._places[one.app, cid]
            self.taken -= 1
            self._named.forget((one, cid))
            self._others.forget((one, cid))

    def heard(self, entry: TailEntry) -> None:
        """Take an event that passes: whom it names may watch its call from now on."""
        meta = entry.meta
        if not self._places or meta.call_cid is None or meta.type in _SILENT:
            return
        places = self._places.get((meta.app, meta.call_cid))
        if places is None or not meta.type.startswith("call."):
            return
        named = named_by(entry.body)
        for one in places:
            if one.user_id in named:
                self._named.add((one, meta.call_cid))

    def ask(self, one: Waiter, call_cid: str) -> None:
        """Have one that waits ask again, soon."""
        self._others.add((one, call_cid))

    # ---- asking

    async def run(self) -> None:
        """Ask for those who wait, until cancelled."""
        async with asyncio.TaskGroup() as loops:
            for _ in range(_ASKING):
                loops.create_task(self._keep_asking(self._named))
                loops.create_task(self._keep_asking(self._others))
            loops.create_task(self._go_round())

    async def _keep_asking(self, due: _Due) -> None:
        while True:
            one, cid = await due.take()
            try:
                await one.ask_again(cid)
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log(
                    "ask", _logger, "those who wait cannot be let in now", reason=str(error)
                )
                await asyncio.sleep(_AGAIN_S)  # the next round asks again

    async def _go_round(self) -> None:
        while True:
            await asyncio.sleep(_ROUND_S)
            waiting = [(one, cid) for (_, cid), places in self._places.items() for one in places]
            for one, cid in waiting:
                if one in self._places.get((one.app, cid), ()):
                    self.ask(one, cid)
                    await asyncio.sleep(self._pause_s)
