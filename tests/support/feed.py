"""What all tests of the feed share: a gateway that is up, and a sender of webhooks; as fixtures too."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
import uvloop
from support.running_gateway import RunningGateway, running_gateway
from support.webhooks import API_KEY, SECRET, distinct_event, signed_request


@asynccontextmanager
async def feeding_gateway(
    folder: Path, settings: dict[str, Any], **feed: Any
) -> AsyncIterator[RunningGateway]:
    """A gateway in which everybody may watch everything; `feed` gives way to `settings`."""
    feed = {"access": "any", **feed, **settings.pop("feed", {})}
    server = {"drain": "1s", **settings.pop("server", {})}
    async with running_gateway(folder, feed=feed, server=server, **settings) as gateway:
        await gateway.up()
        yield gateway


@pytest.fixture
def settings() -> dict[str, Any]:
    """What a test file wants otherwise in its gateway's configuration."""
    return {}


@pytest.fixture
def feed_defaults() -> dict[str, Any]:
    """What a folder of tests wants otherwise of the feed, beside what `settings` say."""
    return {}


@pytest.fixture
async def gateway(
    tmp_path: Path, settings: dict[str, Any], feed_defaults: dict[str, Any]
) -> AsyncIterator[RunningGateway]:
    async with feeding_gateway(tmp_path / "g", settings, **feed_defaults) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def shared_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One for those tests of a file that leave nothing in it: a start costs more than they do."""
    starting = feeding_gateway(tmp_path_factory.mktemp("shared") / "g", {})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        gateway = runner.run(starting.__aenter__())
        yield gateway
        runner.run(starting.__aexit__(None, None, None))


@pytest.fixture
async def sender(gateway: RunningGateway) -> AsyncIterator["Sender"]:
    async with Sender(gateway) as sender:
        yield sender


class Sender:
    """Sends webhooks, one after another, so that their order is known."""

    def __init__(self, gateway: RunningGateway) -> None:
        self._gateway = gateway
        self.sent = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, body: bytes, *, key: str = API_KEY, secret: str = SECRET) -> None:
        headers = signed_request(body, secret, key)
        async with self._session.post(self._gateway.url, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()

    async def number(
        self, count: int = 1, *, call: str = "default:numbers", size: int = 0, **app: str
    ) -> None:
        """Send the next `count` numbers."""
        for _ in range(count):
            await self.send(distinct_event(self.sent, call, size), **app)
            self.sent += 1

    async def keep_sending(self, *, pause_s: float = 0.002, size: int = 0) -> None:
        while True:
            await self.number(size=size)
            await asyncio.sleep(pause_s)
