"""What is open to strangers, as it is decided and as it is told."""

from dataclasses import replace

import pytest
from support.configs import SHIPPED

from gateway import config
from gateway.calls.exposure import closed, demo_app, guest_apps, open_apps, strangers
from gateway.options import App, Config, FeedOptions, UpstreamOptions

DEMO, OWN = App(api_key="demo-key", secrets=("demo-secret",)), App(api_key="mine", secrets=("s",))
STREAM = UpstreamOptions(url="https://stream.example.com")


def opened(*apps, upstream=None, **feed):
    """(demo, apps with guests, apps open to all their users)"""
    one = Config(apps=apps, feed=FeedOptions(**feed), upstream=upstream or UpstreamOptions())
    return demo_app(one), set(guest_apps(one)), set(open_apps(one))


NOTHING = (None, set(), set())


@pytest.mark.parametrize(
    ("apps", "settings", "expected"),
    [
        ((DEMO, OWN), {}, NOTHING),
        ((DEMO, OWN), {"demo": True}, ("demo-key", {"demo-key"}, {"demo-key"})),
        ((OWN,), {"demo": True}, NOTHING),
        ((OWN,), {"demo": True, "access": "any"}, NOTHING),
        ((DEMO, OWN), {"demo": True, "access": "any"}, ("demo-key", {"demo-key"}, {"demo-key"})),
        ((DEMO, OWN), {"access": "any"}, (None, set(), {"demo-key", "mine"})),
        ((DEMO, OWN), {"guests": True}, (None, {"demo-key", "mine"}, set())),
        (
            (DEMO, OWN),
            {"guests": True, "demo": True},
            ("demo-key", {"demo-key", "mine"}, {"demo-key"}),
        ),
        ((DEMO,), {"guests": True, "demo": True, "upstream": STREAM}, NOTHING),
        ((DEMO,), {"guests": True, "demo": True, "enabled": False}, NOTHING),
    ],
)
def test_what_is_open(apps, settings, expected):
    """Nothing unless it is switched on; the demo, and `any` beside it, for the demo key alone."""
    assert opened(*apps, **settings) == expected


def test_the_shipped_file_with_another_app():
    """Key, secret and host are all that has to be changed for nothing to be open."""
    shipped = config.load(SHIPPED, {})
    assert demo_app(shipped) == "demo-key"
    own = replace(shipped, apps=(OWN,), server=replace(shipped.server, host="0.0.0.0"))
    assert (demo_app(own), guest_apps(own), open_apps(own)) == NOTHING
    assert strangers(own) == []
    told = config.describe(own)
    assert "\nopen " not in told
    assert "not open      feed.demo: no page, for it serves the key demo-key alone" in told


def test_each_open_thing_is_told_in_a_line():
    """Of which app it is, and what it lets a stranger do; never a secret."""
    shipped = config.load(SHIPPED, {})
    feed = replace(shipped.feed, guests=True)
    both = replace(shipped, apps=(DEMO, OWN), feed=feed)
    told = [line for line in config.describe(both).splitlines() if line.startswith("open ")]
    assert len(told) == 4
    for part in (
        "demo secret",
        "/demo: whoever",
        "guest of demo-key, mine",
        "every user of demo-key, guests too,",
    ):
        assert sum(part in line for line in told) == 1, told
    remote = replace(both, admin=replace(both.admin, host="10.0.0.1", allow_remote=True))
    assert "admin on 10.0.0.1" in strangers(remote)[-1]
    behind = replace(both, upstream=STREAM)
    assert "asks Stream" in strangers(behind)[0]
    assert "not open      feed.demo: no page, for Stream's API" in config.describe(behind)


def test_what_an_older_file_of_ours_opened_is_told():
    """Its `access: any` beside the demo is of the demo key alone now; without the demo it is of all."""
    older = Config(apps=(DEMO, OWN), feed=FeedOptions(demo=True, access="any"))
    (told,) = closed(older)
    assert "not for mine" in told
    assert closed(replace(older, feed=FeedOptions(access="any"))) == []
    assert closed(Config(apps=(DEMO,), feed=older.feed)) == []
    assert closed(replace(older, feed=replace(older.feed, enabled=False))) == []
