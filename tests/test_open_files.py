"""How the files that may be open are divided, and what is told where they are too few."""

import os
import resource

import pytest
from support.events import event

from gateway import open_files
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import (
    Config,
    FeedOptions,
    HttpOptions,
    JournalOptions,
    ServerOptions,
    SubscriberOptions,
)

USED = 30


@pytest.mark.parametrize("limit", [48, 64, 100, 256, 1_024, 4_096, 1 << 20])
def test_some_are_left_for_each(limit):
    """However few there are: watchers are turned away first, then senders, and the process keeps
    some for itself.
    """
    found = open_files.room(Config(), limit, USED)
    assert USED < found.watchers_below < found.senders_below < found.edge < limit
    assert 0 < found.lingering <= found.senders_below - USED


CALLED = SubscriberOptions(name="s", kind="http", concurrency=100, http=HttpOptions(url="http://h"))
JOURNAL = 4096 // 64 + 2
OWN = USED + 256 + 128 + 64 + 32 + JOURNAL


@pytest.mark.parametrize(
    ("given", "enough", "named"),
    [
        ((), OWN, "the journal (journal.max_size)"),
        (("subscribers",), OWN + 100, "concurrency of s (100)"),
        (("server.max_connections",), OWN + 500, "server.max_connections (500)"),
        (("feed.max_connections",), OWN + 200, "feed.max_connections (200)"),
        (("server.max_connections", "feed.max_connections"), OWN + 700, "feed.max_connections"),
    ],
)
def test_the_first_that_does_not_fit_is_named(given, enough, named):
    """A limit that holds all that is configured says nothing; one below it says what it does not
    hold, and what to do.
    """
    config = Config(
        server=ServerOptions(max_connections=500),
        feed=FeedOptions(max_connections=200),
        subscribers=(CALLED,) if "subscribers" in given else (),
        given=frozenset(given),
    )
    assert open_files.shortage(config, enough, USED) is None
    told = open_files.shortage(config, enough - 1, USED)
    assert told is not None
    assert named in told
    assert str(enough) in told
    assert "LimitNOFILE" in told


@pytest.mark.parametrize("limit", [1_024, 4_096, 20_000, 65_536])
def test_bounds_that_nobody_configured_follow_the_limit(limit):
    """On a usual machine, and in a container with its 1,024, nothing is complained of; `check`
    says for how many connections there is room.
    """
    assert open_files.shortage(Config(), limit) is None
    (line,) = open_files.told(Config(), limit)
    assert f"{limit} for each process, room for about " in line


def test_check_says_what_does_not_fit():
    """In a line of its own, below how many there is room for."""
    config = Config(given=frozenset(["server.max_connections"]))
    _, wrong = open_files.told(config, 2_000)
    assert wrong.startswith(
        "  DOES NOT FIT: at most 2000 files may be open: server.max_connections"
    )


@pytest.fixture
def exhausted():
    """Lets the process open nothing any more, from when it is called."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def exhaust():
        # Descriptors below it that are free are taken first, or there would be some left.
        lowest = open_files.in_use()
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)

    yield exhaust
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    open_files.kept.fill(0)


async def test_the_journal_goes_on_where_no_file_may_be_opened(tmp_path, exhausted):
    """Its next file, and what is written beside it, are opened with what was kept for them; and
    what was used is kept again as soon as there are files.
    """
    options = JournalOptions(segment_bytes=400)
    journal = Journal(tmp_path, options, Metrics())
    open_files.kept.fill(4)
    # Each new file keeps one of them, and what is open for a moment another.
    exhausted()
    for n in range(6):
        journal.append([event(n)])
    assert len(list(tmp_path.glob("*.journal"))) > 1
    assert len(open_files.kept) < 4
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    open_files.kept.fill()
    assert len(open_files.kept) == 4
    assert [one.event.body for one in journal.read(journal.start).stored][0] == event(0).body
    journal.close()


def test_without_what_is_kept_nothing_opens(exhausted):
    """An error is the kernel's own once all that was kept is used."""
    open_files.kept.fill(2)
    exhausted()
    opened = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                opened.append(open_files.kept.opened(lambda: os.open(os.devnull, os.O_RDONLY)))
        assert len(opened) == 2
    finally:
        for fd in opened:
            os.close(fd)


def test_what_is_open_can_be_told(tmp_path):
    """The lowest free descriptor grows with what is open."""
    before = open_files.in_use()
    with (tmp_path / "a").open("w"), (tmp_path / "b").open("w"):
        assert open_files.in_use() > before
