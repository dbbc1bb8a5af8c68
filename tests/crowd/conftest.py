"""One gateway for each test, everybody may watch everything, and events are sent in order."""

import pytest
from support.feed import Sender, feeding_gateway


@pytest.fixture
def settings():
    """What a test file wants otherwise in its gateway's configuration."""
    return {}


@pytest.fixture
async def gateway(tmp_path, settings):
    async with feeding_gateway(tmp_path / "g", settings) as gateway:
        yield gateway


@pytest.fixture
async def sender(gateway):
    async with Sender(gateway) as sender:
        yield sender
