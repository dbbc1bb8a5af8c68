"""One gateway for each test, everybody may watch everything, and events are sent in order."""

from functools import partial

import pytest
from plain_client import Sender
from support.eventually import eventually
from support.running_gateway import running_gateway


@pytest.fixture
def settings():
    """What a test file wants otherwise in its gateway's configuration."""
    return {}


@pytest.fixture
async def gateway(tmp_path, settings):
    feed = {"access": "any", "ping_interval": "1s", **settings.pop("feed", {})}
    server = {"drain": "1s"}
    async with running_gateway(tmp_path / "g", feed=feed, server=server, **settings) as gateway:
        await eventually(partial(is_up, gateway))
        yield gateway


async def is_up(gateway):
    return await gateway.metric("gateway_stream_up")


@pytest.fixture
async def sender(gateway):
    async with Sender(gateway) as sender:
        yield sender
