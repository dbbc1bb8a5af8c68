"""A proxy in front of a Unix socket that keeps requests back and lets them go much later."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path


class Link:
    """One connection through the proxy."""

    def __init__(self, server: asyncio.StreamWriter) -> None:
        self.server = server
        self.holding = self.is_dead = False
        self.held = b""

    def forward(self, data: bytes) -> None:
        if self.holding:
            self.held += data
        else:
            self.server.write(data)


class Proxy:
    """Requests that contain `holds` go nowhere, nor what follows them. After `hold`, requests on the connections there are now go nowhere, until `let_go` sends
    them on, even if their client has given up since. New connections pass."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._links: set[Link] = set()
        self.on_request: Callable[[], object] = lambda: None
        self.holds: bytes | None = None

    def hold(self) -> None:
        for link in self._links:
            link.holding = True

    def die(self) -> None:
        """Nothing comes through the connections there are now any more, and none is closed."""
        for link in self._links:
            link.holding = link.is_dead = True

    @property
    def held(self) -> bytes:
        return b"".join(link.held for link in self._links)

    def let_go(self) -> None:
        for link in self._links:
            link.holding = False
            link.forward(link.held)
            link.held = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, server = await asyncio.open_unix_connection(self._target)
        link = Link(server)
        self._links.add(link)
        answers = asyncio.create_task(self._answers(link, from_server, writer))
        try:
            while data := await reader.read(1 << 16):
                self.on_request()
                link.holding = link.holding or (self.holds is not None and self.holds in data)
                link.forward(data)
            while link.holding:
                await asyncio.sleep(0.01)
        finally:
            answers.cancel()
            self._links.discard(link)
            server.close()
            writer.close()

    async def _answers(
        self, link: Link, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await from_server.read(1 << 16):
            if not link.is_dead:
                writer.write(data)


@asynccontextmanager
async def proxied(target: Path | str, path: Path) -> AsyncIterator[Proxy]:
    """A proxy at `path` in front of the socket `target`."""
    proxy = Proxy(str(target))
    server = await asyncio.start_unix_server(proxy.serve, str(path))
    try:
        yield proxy
    finally:
        proxy.let_go()
        server.close()
