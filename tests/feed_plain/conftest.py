"""One gateway for each test that leaves something in it, everybody may watch everything, and events are sent in order."""

from support.feed import (  # noqa: F401 - fixtures
    feed_defaults,
    gateway,
    sender,
    settings,
    shared_gateway,
)
