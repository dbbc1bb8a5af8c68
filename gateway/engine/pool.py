"""Links to lend: for each server as many as there are exchanges with it at once, up to a bound.

Who comes when all are lent waits for one, no longer than for an answer.
"""

import asyncio
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from gateway.engine.access import EngineAccess
from gateway.engine.link import Link
from gateway.errors import EngineUnavailable

MOST = 64  # to one server


class Closable(Protocol):
    def close(self) -> None: ...


class _Lot:
    """The connections to one server."""

    def __init__(self) -> None:
        self.idle: list[Link] = []
        self.used: set[Closable] = set()
        self.places = asyncio.Semaphore(MOST)
        self.is_dropped = False


class LinkPool:
    """A link that has failed is not lent again; nor is one to a server that was dropped."""

    def __init__(self, access: EngineAccess, timeout_s: float) -> None:
        self._access, self._timeout_s = access, timeout_s
        self._lots: dict[str, _Lot] = {}

    async def exchange(
        self, server: str, commands: Sequence[bytes], *, timeout_s: float | None = None
    ) -> list[Any]:
        """Send packed `commands` to `server` in one piece; return their replies.

        Like `Link.exchange`; raises `EngineUnavailable` where none becomes free in time.
        """
        lot = self._lot(server)
        await self._take_place(lot)
        try:
            if lot.is_dropped:  # meanwhile
                raise ConnectionError("connection given up")
            return await self._lent(lot, server, commands, timeout_s)
        finally:
            lot.places.release()

    async def _lent(
        self, lot: _Lot, server: str, commands: Sequence[bytes], timeout_s: float | None
    ) -> list[Any]:
        link = _open_one_of(lot.idle) or self._new(server)
        lot.used.add(link)
        try:
            return await link.exchange(commands, timeout_s=timeout_s)
        finally:
            lot.used.remove(link)
            if lot.is_dropped:
                link.close()
            elif link.is_open:
                lot.idle.append(link)

    @contextmanager
    def along(self, server: str, other: Closable) -> Iterator[None]:
        """Have `other`, which speaks to `server` too, closed when that is dropped."""
        lot = self._lot(server)
        lot.used.add(other)
        try:
            yield
        finally:
            lot.used.remove(other)

    def _lot(self, server: str) -> _Lot:
        lot = self._lots.get(server)
        if lot is None:
            lot = self._lots[server] = _Lot()
        return lot

    async def _take_place(self, lot: _Lot) -> None:
        if not lot.places.locked():
            await lot.places.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await lot.places.acquire()
        except TimeoutError:
            busy = f"all {MOST} connections to Redis were busy for {self._timeout_s:g} s"
            raise EngineUnavailable(busy) from None  # that is no server's fault

    def _new(self, server: str) -> Link:
        return Link(server, timeout_s=self._timeout_s, access=self._access)

    def keep(self, named: Container[str]) -> None:
        """Drop those to all others, in use or not: from there nothing would ever come."""
        for server in [each for each in self._lots if each not in named]:
            lot = self._lots.pop(server)
            lot.is_dropped = True
            for one in (*lot.idle, *lot.used):
                one.close()

    def close(self) -> None:
        self.keep(())


def _open_one_of(idle: list[Link]) -> Link | None:
    """Return one that its server has not closed meanwhile, as servers do after a while."""
    while idle:
        link = idle.pop()
        if link.is_open:
            return link
        link.close()
    return None
