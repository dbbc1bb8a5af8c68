"""Subscribers are never forgotten by accident: whom Redis has lost is put back, with its groups.

Every process looks about once a second who is known, and remembers it, over its own end too
(`known`). What it means that Redis then has less is decided in `loss`. After a loss each group
begins with the first entry of its shard, for all in it was published since. Whoever publishes
asks for that first (`restore`); but whoever made a group or published in between, and in whatever
order, it comes to the same. Only a name that nobody knows starts as its configuration says.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.logs import Seldom, log
from gateway.store.format import check_format
from gateway.store.restoring.known import KnownSubscribers, KnownSubscribersFile
from gateway.store.restoring.lives import read_lives
from gateway.store.restoring.loss import (
    Loss,
    Register,
    SeenShards,
    compare,
    may_be_forgotten,
    to_put_back,
)
from gateway.store.restoring.new_groups import joined_anywhere, put_back_groups
from gateway.store.taking.consumer_group import Start
from gateway.store.taking.subscriptions import Subscription, Subscriptions

_logger = logging.getLogger(__name__)
_LOOK_S = 1.0
_SURE_S = 3.0  # for so long a name has to be gone to have been forgotten
_KEEP_MS = 60_000  # that nothing has changed is written down so seldom
# A pause outlives a loss, also where somebody has started the subscriber before it was put back;
# but nobody is paused out of the blue long after.
_PAUSES_MS = 900_000


class Restorer:
    """Of one process. `configured`: whom to take for known where nothing is remembered, but a
    journal knows that there has been more. Everything raises `EngineUnavailable` or
    `EngineRefused`.
    """

    def __init__(
        self,
        engine: Engine,
        file: KnownSubscribersFile | None = None,
        configured: Collection[str] = (),
    ) -> None:
        self._engine, self._file = engine, file
        self._subscriptions = Subscriptions(engine)
        self._known = file.read() if file is not None else None
        self._kept = self._known
        self._otherwise = configured if self._known is None else ()
        self._has_looked = False
        self._interruptions = 0  # as of the last look
        self._gone_at: dict[str, float] = {}  # who may have been forgotten, monotonic seconds
        self._limbo: dict[str, Subscription] = {}  # and of whom it is not sure yet
        self._turn = asyncio.Lock()
        self._seldom = Seldom()

    async def run(self) -> None:
        """Look until cancelled, where nobody else does."""
        while True:
            try:
                await self.look()
            except (EngineUnavailable, EngineRefused) as error:
                self._seldom.log("look", _logger, "cannot read subscribers", reason=str(error))
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> Mapping[str, Subscription]:
        """Return all known subscribers by name, once those that were lost are put back."""
        return await self._look(())

    async def restore(self, lost: Sequence[int]) -> None:
        """Put back whom Redis has lost, before anything is published again; `lost`: the shards
        that have less of a journal than they had.
        """
        await self._look(lost)

    async def start(self, name: str, configured: Start) -> Start | None:
        """Where `name` is to begin that has no group; None while that is not known."""
        found = (await self.look()).get(name)
        if found is None:
            return None if name in self._limbo else configured
        return None if found.state == "forgetting" else "earliest"

    async def register(self, name: str) -> None:
        """Make `name` known, which has its groups now."""
        await self._subscriptions.register(name)
        if self._known is None or name not in self._known.subscribers:
            await self.look()

    async def _look(self, lost: Sequence[int]) -> Mapping[str, Subscription]:
        async with self._turn:
            interruptions = self._engine.interruptions
            register = await self._subscriptions.read()
            # Behind the register, so that one of an emptied Redis is never taken for another.
            lives = await read_lives(self._engine)
            is_first, has_failed = not self._has_looked, interruptions != self._interruptions
            seen = SeenShards(register, lives, lost, is_first=is_first, has_failed=has_failed)
            known = await self._acted(seen)
            self._has_looked, self._interruptions = True, interruptions
            present = {one: how for one, how in known.items() if how.state != "forgetting"}
            self._known = KnownSubscribers(lives.of, lives.now_ms, {**present, **self._limbo})
            await self._keep(self._known)
            return known

    async def _acted(self, seen: SeenShards) -> Mapping[str, Subscription]:
        """Return the register with those put back that it has lost."""
        new = Subscription("active", now_ms(), new=True)
        loss = compare(self._known, seen, dict.fromkeys(self._otherwise, new))
        forgotten = {
            name
            for name in may_be_forgotten(loss, seen)
            if not await joined_anywhere(self._engine, name, loss.survivors)
        }
        # A tail that was lost may show by other signs than this one, and a moment later.
        now = time.monotonic()
        self._gone_at = {name: self._gone_at.get(name, now) for name in forgotten}
        self._limbo = (
            {}
            if seen.is_first
            else {
                name: loss.remembered[name]
                for name, gone_at in self._gone_at.items()
                if now - gone_at < _SURE_S
            }
        )
        register: Mapping[str, Subscription] = seen.register
        if names := to_put_back(loss, seen, forgotten):
            await self._put_back(names, loss, register)
            register = await self._subscriptions.read()
        if seen.lost:
            self._otherwise = ()
        return register

    async def _put_back(self, names: Sequence[str], loss: Loss, register: Register) -> None:
        await check_format(self._engine)
        made = await put_back_groups(self._engine, names, loss.emptied)
        is_new = False
        for name in names:  # behind their groups: see `Subscriptions.register`
            was, found = loss.remembered[name], register.get(name)
            if found is None:
                is_new |= await self._subscriptions.put_back(name, was)
            elif loss.emptied and was.state == "paused" and _is_new(found):
                await self._subscriptions.pause(name)
        if is_new or any(made):
            log(
                _logger,
                logging.WARNING,
                "Redis has lost subscribers: put back, with what it has of events",
                subscribers=" ".join(sorted(names)),
                groups_made=made.again,
                groups_set_back=made.set_back,
            )

    async def _keep(self, known: KnownSubscribers) -> None:
        kept = self._kept
        if self._file is None or (
            kept is not None
            and kept.lives == known.lives
            and kept.subscribers == known.subscribers
            and known.seen_ms - kept.seen_ms < _KEEP_MS
        ):
            return
        self._kept = known
        await asyncio.to_thread(self._file.write, known)


def _is_new(found: Subscription) -> bool:
    """Whether somebody has started it just now, and nobody has said anything by command."""
    return found.state == "active" and found.new and now_ms() - found.since_ms < _PAUSES_MS
