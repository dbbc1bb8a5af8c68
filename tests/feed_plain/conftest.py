"""One gateway for each test, everybody may watch everything, and events are sent in order."""

from support.feed import feed_defaults, gateway, sender, settings  # noqa: F401 - fixtures
