"""Subscribers are never forgotten by accident: whom Redis has lost is put back, with its groups.

Every process looks about once a second who is known, and remembers it, over its own end too
(`known`). When Redis then has less, this decides what it means. A name that is gone while its
shards live on was forgotten on command. A shard that lives another life (`lives`) was emptied:
all that was remembered is put back, each group from the first entry of the shard, for all in it
was published since. Whoever publishes asks for that first (`restore`); but whoever made a group
or published in between, and in whatever order, it comes to the same.

Only a name that nobody knows starts as its configuration says.
"""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence

from gateway.clock import now_ms
from gateway.errors import StreamRefused, StreamUnavailable
from gateway.logs import Seldom, log
from gateway.stream.connection import Engine
from gateway.stream.consumer_group import Start
from gateway.stream.format import check_format
from gateway.stream.known import Known, KnownFile
from gateway.stream.lives import Lives, read_lives
from gateway.stream.putting_back import joined_anywhere, put_back_groups
from gateway.stream.subscriptions import Subscription, Subscriptions

_logger = logging.getLogger(__name__)
_LOOK_S = 1.0
_SURE_S = 3.0  # for so long a name has to be gone to have been forgotten
_KEEP_MS = 60_000  # that nothing has changed is written down so seldom
# A pause outlives a loss, also where somebody has started the subscriber before it was put back;
# but nobody is paused out of the blue long after.
_PAUSES_MS = 900_000
_Register = dict[str, Subscription]


class Restorer:
    """Of one process. `configured`: whom to take for known where nothing is remembered, but a
    journal knows that there has been more. Everything raises `StreamUnavailable` or
    `StreamRefused`.
    """

    def __init__(
        self, engine: Engine, file: KnownFile | None = None, configured: Collection[str] = ()
    ) -> None:
        self._engine, self._file = engine, file
        self._subscriptions = Subscriptions(engine)
        self._known = file.read() if file is not None else None
        self._kept = self._known
        self._otherwise = configured if self._known is None else ()
        self._interruptions: int | None = None  # as of the last look
        self._gone_at: dict[str, float] = {}  # who may have been forgotten, monotonic seconds
        self._limbo: _Register = {}  # and of whom it is not sure yet
        self._turn = asyncio.Lock()
        self._seldom = Seldom()

    async def run(self) -> None:
        """Look until cancelled, where nobody else does."""
        while True:
            try:
                await self.look()
            except (StreamUnavailable, StreamRefused) as error:
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
        await self.look()

    async def _look(self, lost: Sequence[int]) -> _Register:
        async with self._turn:
            interruptions = self._engine.interruptions
            register = await self._subscriptions.read()
            # Behind the register, so that one that was emptied is never taken for one that was
            # not.
            lives = await read_lives(self._engine)
            register = await self._compared(register, lives, lost, interruptions)
            self._interruptions = interruptions
            present = {one: how for one, how in register.items() if how.state != "forgetting"}
            self._known = Known(lives.of, lives.now_ms, present | self._limbo)
            await self._keep(self._known)
            return register

    async def _compared(
        self, register: _Register, lives: Lives, lost: Sequence[int], interruptions: int
    ) -> _Register:
        """Return the register with those put back that it has lost."""
        before = self._known or Known((), lives.now_ms, {})
        blind = lost if self._otherwise else ()
        emptied = lives.emptied(before.lives, before.seen_ms, blind)
        remembered = dict(before.subscribers)
        if emptied.intersection(blind):
            new = Subscription("active", now_ms(), new=True)
            remembered = dict.fromkeys(self._otherwise, new) | remembered
        survivors = set(range(len(lives.of))) - lives.others(before.lives) - emptied
        is_first = self._interruptions is None
        is_doubted = bool(lost or len(survivors) < len(lives.of)) or (
            not is_first and self._interruptions != interruptions
        )
        gone = remembered.keys() - register.keys()
        forgotten: set[str] = set()
        if is_first or not is_doubted:
            forgotten = {
                name for name in gone
                if survivors and not await joined_anywhere(self._engine, name, survivors)
            }  # fmt: skip
        # A tail that was lost may show by other signs than this one, and a moment later.
        now = time.monotonic()
        self._gone_at = {name: self._gone_at.get(name, now) for name in forgotten}
        self._limbo = {} if is_first else {
            name: remembered[name] for name in forgotten if now - self._gone_at[name] < _SURE_S
        }  # fmt: skip
        missing = [
            name for name in remembered.keys() - forgotten
            if name not in register or (is_doubted and register[name].state != "forgetting")
        ]  # fmt: skip
        if missing:
            register = await self._put_back(register, remembered, missing, emptied)
        if lost:
            self._otherwise = ()
        return register

    async def _put_back(
        self, register: _Register, remembered: _Register, names: Sequence[str], emptied: set[int]
    ) -> _Register:
        await check_format(self._engine)
        made = await put_back_groups(self._engine, names, emptied)
        anew = []
        for name in names:  # behind their groups: see `Subscriptions.register`
            was, found = remembered[name], register.get(name)
            if found is None:
                if await self._subscriptions.put_back(name, was):
                    anew.append(name)
            elif emptied and was.state == "paused" and _is_new(found):
                await self._subscriptions.pause(name)
        if anew or any(made):
            log(_logger, logging.WARNING, "Redis has lost subscribers: put back, with what it has"
                " of events", subscribers=" ".join(names), groups_made=made.again,
                groups_set_back=made.set_back)  # fmt: skip
        return await self._subscriptions.read()

    async def _keep(self, known: Known) -> None:
        kept = self._kept
        if self._file is None or (
            kept is not None and kept.lives == known.lives
            and kept.subscribers == known.subscribers and known.seen_ms - kept.seen_ms < _KEEP_MS
        ):  # fmt: skip
            return
        self._kept = known
        await asyncio.to_thread(self._file.write, known)


def _is_new(found: Subscription) -> bool:
    """Whether somebody has started it just now, and nobody has said anything by command."""
    return found.state == "active" and found.new and now_ms() - found.since_ms < _PAUSES_MS
