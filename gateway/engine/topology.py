"""Which server has a key: always the same, the master of a Sentinel set, or one of a Cluster.

A server is named by its URL. What is known is used until somebody has reason to `doubt` it (a
server that failed, that takes no writes, that sends us elsewhere); then it is asked for anew, once
for all who wait, before the next use. Servers that are no longer named are left at once: who
reads from one that was deposed would wait there for ever.
"""

import asyncio
from abc import ABC, abstractmethod

from gateway.engine.access import EngineAccess
from gateway.engine.replies import Redirection
from gateway.engine.url import EngineUrl
from gateway.errors import EngineUnavailable


class Topology(ABC):
    """`is_split`: different shards may lie on different servers, and only one per command;
    `is_asked`: whoever takes over has another address, which somebody tells. Else it comes to be
    at the same: connections to one that was deposed have to be made anew.
    """

    is_split = False
    is_asked = True

    def elsewhere(self, found: Redirection, asked: str) -> str | None:  # noqa: ARG002
        """Return the server that `asked` sends us to; None where that has no meaning."""
        return None

    @abstractmethod
    def known(self, key: str) -> str | None:
        """Return the server of `key`, None while that is in doubt."""

    @abstractmethod
    async def make_sure(self) -> None:
        """Ask if in doubt. Raises `EngineUnavailable` when nobody tells."""

    @abstractmethod
    def servers(self) -> frozenset[str]:
        """Return all servers that take writes, as far as known."""

    @abstractmethod
    def doubt(self) -> None:
        """Have it asked for anew before the next use."""

    def moved(self, key: str, server: str) -> None:  # noqa: B027  # only a Cluster moves keys
        """Take note that `server` was named as the one that has `key`."""

    async def locate(self, key: str) -> str:
        """Return the server of `key`. Raises `EngineUnavailable` when nobody tells."""
        found = self.known(key)
        if found is None:
            await self.make_sure()
            found = self.known(key)
        if found is None:
            raise EngineUnavailable("no server of the Cluster has this key now")
        return found

    async def close(self) -> None:  # noqa: B027  # most have nothing to close
        """Let go of connections that were for asking only."""


class SingleServer(Topology):
    """One address, behind which another server may come to be, as hosted services do it."""

    is_asked = False

    def __init__(self, url: str) -> None:
        self._url = url

    def known(self, key: str) -> str | None:  # noqa: ARG002
        return self._url

    async def make_sure(self) -> None:
        return

    def servers(self) -> frozenset[str]:
        return frozenset((self._url,))

    def doubt(self) -> None:
        return


class AskedServers(Topology):
    """One that is asked for: `ask` finds it out."""

    def __init__(self, place: EngineUrl, access: EngineAccess, timeout_s: float) -> None:
        self._place, self._access, self._timeout_s = place, access, timeout_s
        self._is_sure = False
        self._asking: asyncio.Task[None] | None = None

    @abstractmethod
    async def ask(self) -> None:
        """Find it out. Raises `EngineUnavailable`."""

    def doubt(self) -> None:
        self._is_sure = False

    async def make_sure(self) -> None:
        if self._is_sure:
            return
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_once())
            self._asking.add_done_callback(_told)
        await asyncio.shield(self._asking)

    async def _ask_once(self) -> None:
        try:
            await self.ask()
            self._is_sure = True
        finally:
            self._asking = None

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()


def _told(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # whoever waited has it too
