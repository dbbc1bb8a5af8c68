"""What is open to strangers, of each app, and how that is told. Pure.

Only what the configuration switches on, and of that the demo least: its page, and the `any` that
belongs to it, serve the demo key alone. So the file that ships is safe with another key in it.
Where Stream's API is behind us, Stream makes the guests, and the demo does not run.
"""

from collections.abc import Iterator

from gateway.options import DEMO_KEY, Config


def demo_app(config: Config) -> str | None:
    """Return the API key that the demo page serves; None: there is no demo page."""
    feed = config.feed
    runs = feed.enabled and feed.demo and config.upstream.url is None
    return DEMO_KEY if runs and any(app.api_key == DEMO_KEY for app in config.apps) else None


def guest_apps(config: Config) -> frozenset[str]:
    """Return the API keys whose guests are made here, by request or by the demo."""
    feed, demo = config.feed, demo_app(config)
    makes = feed.enabled and feed.guests and config.upstream.url is None
    return _keys(config) if makes else frozenset() if demo is None else frozenset({demo})


def open_apps(config: Config) -> frozenset[str]:
    """Return the API keys whose every user may watch every call."""
    feed, demo = config.feed, demo_app(config)
    if feed.access == "any" and not feed.demo:
        return _keys(config)
    if feed.access == "any":
        return _keys(config) & {DEMO_KEY}
    return frozenset() if demo is None else frozenset({demo})


def strangers(config: Config) -> list[str]:
    """Return a sentence for each thing that is open to whoever reaches us; no secret is in it."""
    return list(_sentences(config))


def closed(config: Config) -> list[str]:
    """Return a sentence for each thing that is switched on and yet open to nobody, and why."""
    feed, found = config.feed, list[str]()
    if not feed.enabled or not feed.demo:
        return found
    if config.upstream.url is not None:
        found.append("feed.demo: no page, for Stream's API is behind this gateway (upstream.url)")
    elif demo_app(config) is None:
        found.append(f"feed.demo: no page, for it serves the key {DEMO_KEY} alone")
    others = sorted(_keys(config) - {DEMO_KEY})
    if feed.access == "any" and others:
        found.append(
            f"feed.access any: not for {', '.join(others)}, for beside feed.demo it is of"
            f" {DEMO_KEY} alone; remove demo to have it for all"
        )
    return found


def _keys(config: Config) -> frozenset[str]:
    return frozenset(app.api_key for app in config.apps)


def _sentences(config: Config) -> Iterator[str]:
    feed, demo = config.feed, demo_app(config)
    guests, open_to = guest_apps(config), open_apps(config)
    if demo is not None:
        yield f"/demo: whoever opens it becomes a guest of {demo}"
    if feed.enabled and feed.guests:
        yield (
            f"feed.guests: whoever asks becomes a guest of {', '.join(sorted(guests))}"
            if config.upstream.url is None
            else "guests: whoever asks Stream through us, if Stream has guests"
        )
    if feed.enabled and open_to:
        also = ", guests too," if guests & open_to else ""
        yield f"calls: every user of {', '.join(sorted(open_to))}{also} may watch each of them"
    if config.admin.allow_remote:
        yield f"admin on {config.admin.host}: whoever reaches it can read everything"
