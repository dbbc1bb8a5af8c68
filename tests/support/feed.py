"""What all tests of the feed share: a gateway that is up, and a sender of webhooks; as fixtures too."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from support.running_gateway import running_gateway
from support.webhooks import API_KEY, SECRET, distinct_event, signed_request


@asynccontextmanager
async def feeding_gateway(folder, settings, **feed):
    """A gateway in which everybody may watch everything; `feed` gives way to `settings`."""
    feed = {"access": "any", **feed, **settings.pop("feed", {})}
    server = {"drain": "1s", **settings.pop("server", {})}
    async with running_gateway(folder, feed=feed, server=server, **settings) as gateway:
        await gateway.up()
        yield gateway


@pytest.fixture
def settings():
    """What a test file wants otherwise in its gateway's configuration."""
    return {}


@pytest.fixture
def feed_defaults():
    """What a folder of tests wants otherwise of the feed, beside what `settings` say."""
    return {}


@pytest.fixture
async def gateway(tmp_path, settings, feed_defaults):
    async with feeding_gateway(tmp_path / "g", settings, **feed_defaults) as gateway:
        yield gateway


@pytest.fixture
async def sender(gateway):
    async with Sender(gateway) as sender:
        yield sender


class Sender:
    """Sends webhooks, one after another, so that their order is known."""

    def __init__(self, gateway):
        self._gateway = gateway
        self.sent = 0

    async def __aenter__(self):
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_):
        await self._session.close()

    async def send(self, body, *, key=API_KEY, secret=SECRET):
        headers = signed_request(body, secret, key)
        async with self._session.post(self._gateway.url, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()

    async def number(self, count=1, *, call="default:numbers", size=0, **app):
        """Send the next `count` numbers."""
        for _ in range(count):
            await self.send(distinct_event(self.sent, call, size), **app)
            self.sent += 1

    async def keep_sending(self, *, pause_s=0.002, size=0):
        while True:
            await self.number(size=size)
            await asyncio.sleep(pause_s)
