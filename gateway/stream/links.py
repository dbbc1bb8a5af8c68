"""Links to lend: for each server as many as there are exchanges with it at once.

A round trip by redis-py takes a dozen turns of the event loop; by a link it takes two. Where
thousands of answers arrive meanwhile, that is how long one has to read ahead.
"""

from collections.abc import Container, Sequence
from typing import Any

from gateway.stream.access import Access
from gateway.stream.link import Link


class Links:
    """A link that has failed is not lent again; nor is one to a server that was dropped."""

    def __init__(self, access: Access, timeout_s: float) -> None:
        self._access, self._timeout_s = access, timeout_s
        self._idle: dict[str, list[Link]] = {}

    async def exchange(self, server: str, commands: Sequence[bytes]) -> list[Any]:
        """Send packed `commands` to `server` in one piece; return their replies.

        A reply that is an error stands as an exception in the list. Raises `StreamUnavailable`,
        whose cause says what went wrong.
        """
        idle = self._idle.setdefault(server, [])
        link = await self._open_one_of(idle) or self._new(server)
        replies = await link.exchange(commands)
        if self._idle.get(server) is idle:
            idle.append(link)
        else:
            await link.close()
        return replies

    async def _open_one_of(self, idle: list[Link]) -> Link | None:
        """Return one that its server has not closed meanwhile, as servers do after a while."""
        while idle:
            link = idle.pop()
            if link.is_open:
                return link
            await link.close()
        return None

    def _new(self, server: str) -> Link:
        return Link(server, timeout_s=self._timeout_s, access=self._access)

    async def keep(self, named: Container[str]) -> None:
        """Drop those to all others: from there nothing would ever come."""
        for server in [each for each in self._idle if each not in named]:
            for link in self._idle.pop(server):
                await link.close()

    async def close(self) -> None:
        await self.keep(())
