"""One gateway for each test that leaves something in it; everybody may watch everything."""

from support.feed import (  # noqa: F401 - fixtures
    feed_defaults,
    gateway,
    sender,
    settings,
    shared_gateway,
)
