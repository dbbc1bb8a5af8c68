"""Links to lend: for each server as many as there are exchanges with it at once, up to a bound.

Who comes when all are lent waits for one, no longer than for an answer.
"""

import asyncio
from collections.abc import Container, Sequence
from typing import Any

from gateway.stream.access import Access
from gateway.stream.link import Link

MOST = 64  # to one server


class _Lot:
    """The links to one server."""

    def __init__(self) -> None:
        self.idle: list[Link] = []
        self.lent: set[Link] = set()
        self.places = asyncio.Semaphore(MOST)
        self.is_dropped = False


class Links:
    """A link that has failed is not lent again; nor is one to a server that was dropped."""

    def __init__(self, access: Access, timeout_s: float) -> None:
        self._access, self._timeout_s = access, timeout_s
        self._lots: dict[str, _Lot] = {}

    async def exchange(
        self, server: str, commands: Sequence[bytes], *, timeout_s: float | None = None
    ) -> list[Any]:
        """Send packed `commands` to `server` in one piece; return their replies.

        Like `Link.exchange`.
        """
        lot = self._lots.get(server)
        if lot is None:
            lot = self._lots[server] = _Lot()
        await self._take_place(lot)
        link = _open_one_of(lot.idle) or self._new(server)
        lot.lent.add(link)
        try:
            return await link.exchange(commands, timeout_s=timeout_s)
        finally:
            lot.lent.remove(link)
            lot.places.release()
            if lot.is_dropped:
                link.close()
            elif link.is_open:
                lot.idle.append(link)

    async def _take_place(self, lot: _Lot) -> None:
        if not lot.places.locked():
            await lot.places.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await lot.places.acquire()
        except TimeoutError:
            busy = f"all {MOST} connections to Redis were busy for {self._timeout_s:g} s"
            raise TimeoutError(busy) from None

    def _new(self, server: str) -> Link:
        return Link(server, timeout_s=self._timeout_s, access=self._access)

    def keep(self, named: Container[str]) -> None:
        """Drop those to all others, in use or not: from there nothing would ever come."""
        for server in [each for each in self._lots if each not in named]:
            lot = self._lots.pop(server)
            lot.is_dropped = True
            for link in (*lot.idle, *lot.lent):
                link.close()

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
