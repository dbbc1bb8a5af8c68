"""How the files that may be open are divided, and what is told where they are too few."""

import pytest

from gateway import open_files
from gateway.options import Config, FeedOptions, HttpOptions, ServerOptions, SubscriberOptions

USED = 30


@pytest.mark.parametrize("limit", [48, 64, 100, 256, 1_024, 4_096, 1 << 20])
def test_some_are_left_for_each(limit):
    """However few there are: watchers are turned away first, then senders, and the process keeps
    some for itself.
    """
    found = open_files.room(Config(), limit, USED)
    assert USED < found.watchers_below < found.senders_below < found.edge < limit
    assert 0 < found.lingering <= found.senders_below - USED


def test_what_is_configured_is_compared_with_the_limit():
    """A limit that holds all that is configured says nothing; one below it says what to do."""
    called = SubscriberOptions(
        name="s", kind="http", concurrency=100, http=HttpOptions(url="http://h")
    )
    config = Config(
        server=ServerOptions(max_connections=500),
        feed=FeedOptions(max_connections=200),
        subscribers=(called,),
    )
    enough = USED + 128 + 64 + 100 + 256 + 500 + 200
    assert open_files.shortage(config, open_files.room(config, enough, USED)) is None
    told = open_files.shortage(config, open_files.room(config, enough - 1, USED))
    assert told is not None
    assert "server.max_connections 500 and feed.max_connections 200" in told
    assert str(enough) in told
    assert "LimitNOFILE" in told


def test_what_is_open_can_be_told(tmp_path):
    """The lowest free descriptor grows with what is open."""
    before = open_files.in_use()
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        assert open_files.in_use() > before
