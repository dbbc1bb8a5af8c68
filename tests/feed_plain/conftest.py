"""One gateway for each test, everybody may watch everything, and events are sent in order."""

import pytest
from support.feed import gateway, sender, settings  # noqa: F401 - fixtures


@pytest.fixture
def feed_defaults():
    return {"ping_interval": "1s"}
