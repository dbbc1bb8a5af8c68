"""Connections of one's own to all servers of an installation, one exchange at a time.

Nearly always that is one server, and nothing is decided: the exchange goes to its link. In a
Cluster each command goes to the master of its key, all masters at once. Who is asked is decided
when a connection fails or a reply sends us elsewhere, never while all is well. Nothing is sent a
second time here: what a failed exchange has done, its caller finds out.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.engine.access import EngineAccess
from gateway.engine.link import Link
from gateway.engine.replies import BROKEN, Failure, explain, is_deposed, redirection
from gateway.engine.resp import pack
from gateway.engine.servers import topology_of
from gateway.engine.spread import spread
from gateway.errors import EngineUnavailable

# A replica that is well answers within a round trip. Longer than this nobody is held up, because
# what follows says as well how far they are.
_WAIT_MS = 50


class OwnLinks:
    """To what `url` names. Everything raises `EngineUnavailable`.

    With `replicas`, each exchange waits until so many have what was written, but not long;
    `has_replicas` tells whether they had it on every server of the last exchange.
    """

    def __init__(
        self, url: str, *, timeout_s: float, access: EngineAccess | None = None, replicas: int = 0
    ) -> None:
        self.has_replicas = True
        self._access, self._timeout_s = access or EngineAccess(), timeout_s
        self._replicas = replicas
        self._wait = pack("WAIT", replicas, _WAIT_MS)
        self._topology = topology_of(url, self._access, timeout_s)
        self._links: dict[str, Link] = {}

    @property
    def is_split(self) -> bool:
        """Whether an exchange may reach some of the servers only."""
        return self._topology.is_split

    async def exchange(self, commands: Sequence[bytes], names: Sequence[str]) -> list[Any]:
        """Send packed `commands`, each about its key in `names`; return their replies."""
        self.has_replicas = True
        if self._topology.is_split:
            servers = [await self._topology.locate(name) for name in names]
            return await spread(
                servers, lambda server, some: self._on(server, [commands[at] for at in some])
            )
        server = self._topology.known("") or await self._topology.locate("")
        return await self._on(server, commands)

    async def everywhere(self, commands: Sequence[bytes], names: Iterable[str]) -> list[Any]:
        """Send `commands` to every server that has a key of `names`; return all replies.

        Connections to servers that have none are closed.
        """
        servers = {await self._topology.locate(name) for name in names}
        replies: list[Any] = []
        for server in servers:
            replies += await self._on(server, commands)
        for left in self._links.keys() - servers:
            self._links.pop(left).close()
        return replies

    def doubt(self) -> None:
        """Ask anew who has what, or connect anew where nobody can be asked."""
        self._topology.doubt()
        if not self._topology.is_asked:
            for link in self._links.values():
                link.renew()

    def explained(self, error: Exception) -> Failure:
        """Say whose turn it is after a reply that is an error; ask anew who has what if need be."""
        has_moved = redirection(error) is not None
        if has_moved or is_deposed(error):
            self.doubt()
        if has_moved and self.is_split:
            return EngineUnavailable(f"its slot has moved: {error}")
        return explain(error)

    async def _on(self, server: str, commands: Sequence[bytes]) -> list[Any]:
        link = self._links.get(server)
        if link is None:
            link = Link(server, timeout_s=self._timeout_s, access=self._access)
            self._links[server] = link
        sent = [*commands, self._wait] if self._replicas else commands
        try:
            replies = await link.exchange(sent)
        except BROKEN as error:
            self._topology.doubt()
            raise EngineUnavailable(str(explain(error))) from error
        if self._replicas:
            had = replies.pop()
            self.has_replicas &= isinstance(had, int) and had >= self._replicas
        return replies

    async def close(self) -> None:
        for link in self._links.values():
            link.close()
        await self._topology.close()
