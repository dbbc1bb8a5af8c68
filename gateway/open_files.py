"""How many files may be open, and who has to stay away before there are none left.

The limit is shared by all that a process does: connections of senders and watchers, subscribers,
the engine, the journal. Watchers are turned away first, then strangers among the senders; the rest
belongs to the process itself, which so never runs out. A new descriptor is always the lowest that
is free: its number is a lower bound of what is open, at no cost.

Should it run out nevertheless, a few descriptors are kept for what must be opened all the same:
the journal's next file, what is written beside it, the engine when it is started again.
"""

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from gateway.options import Config

ADMIN_FILES = 64  # connections to the admin listener
_ENGINE_FILES = 128  # connections that wait for answers, and for entries
_OTHER_FILES = 32  # locks, look-ups of names, what is opened for a moment
LINGERING_FILES = 256  # of connections that have been answered for good
_SENDERS_SHARE = 256  # that watchers leave to senders, where there are that many
_KEPT_FILES = 16
_AT_START_FILES = 48  # about what the process has before anybody comes
_UNLIMITED = 1 << 20
_HOW = "Allow as many (ulimit -Hn, LimitNOFILE=, --ulimit nofile=)"

T = TypeVar("T")


def raise_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (hard, _UNLIMITED, 10_240):  # an unlimited one may be refused
        if soft != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > soft):
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                break
    return limit()


def limit() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else _UNLIMITED


def in_use() -> int:
    """Return about how many are open: the lowest descriptor that is free. Raises OSError."""
    free = _unused()
    os.close(free)
    return free


def _unused() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class Kept:
    """Descriptors of the process that are kept for what must be opened when there are no others."""

    def __init__(self) -> None:
        self._most = 0
        self._held: list[int] = []

    def __len__(self) -> int:
        return len(self._held)

    def fill(self, most: int | None = None) -> None:
        """Keep `most` from now on, or as many as before, as far as they are to be had."""
        self._most = self._most if most is None else most
        while len(self._held) > self._most:
            os.close(self._held.pop())
        with contextlib.suppress(OSError):
            while len(self._held) < self._most:
                self._held.append(_unused())

    def opened(self, opening: Callable[[], T]) -> T:
        """Return what `opening` does; where it finds no descriptor, it does with one of these.

        Raises OSError as `opening` does.
        """
        while True:
            try:
                return opening()
            except OSError as error:
                if error.errno not in {errno.EMFILE, errno.ENFILE} or not self._held:
                    raise
                os.close(self._held.pop())


kept = Kept()  # one for the process, as its descriptors are


@dataclass(frozen=True, slots=True)
class FileRoom:
    """With how many open senders may come, and watchers; how many connections may linger."""

    limit: int = _UNLIMITED
    used: int = 0  # at the start, without any connection
    senders_below: int = _UNLIMITED
    watchers_below: int = _UNLIMITED
    edge: int = _UNLIMITED  # a descriptor: from it on files run short, whatever has them
    lingering: int = LINGERING_FILES


def kept_of(most: int) -> int:
    """Return how many of `most` files are kept for what must be opened. Pure."""
    return min(_KEPT_FILES, most // 16)


def room(config: Config, most: int, used: int) -> FileRoom:
    """Divide `most` files, of which the process has `used` at the start. Pure."""
    free = max(0, most - used)
    own = min(sum(one.files for one in _own(config)), free // 2)
    senders_below = most - own
    share = min(_SENDERS_SHARE, config.server.max_connections, (senders_below - used) // 3)
    return FileRoom(
        limit=most,
        used=used,
        senders_below=senders_below,
        watchers_below=senders_below - share,
        edge=most - own // 2,
        lingering=min(LINGERING_FILES, free // 8),
    )


class FileDemand(NamedTuple):
    what: str
    files: int


def shortage(config: Config, most: int, used: int = _AT_START_FILES) -> str | None:
    """Say what does not fit into `most` files, and what to do; None: all does. Pure.

    Of bounds of connections only those that were configured: others follow the limit.
    """
    total = used + LINGERING_FILES
    for one in _demands(config):
        total += one.files
        if total > most:
            return (
                f"at most {most} files may be open: {one.what} needs {total}, with what comes"
                f" before it. {_HOW}, or lower it; until then strangers are turned away near the"
                " limit"
            )
    return None


def told(config: Config, most: int) -> Iterator[str]:
    """Yield lines for a person: for how many connections there is room, and what does not fit."""
    found = room(config, most, _AT_START_FILES)
    held = max(0, found.senders_below - found.used)
    lacking = shortage(config, most)
    yield f"open files    {most} for each process, room for about {held} connections"
    if lacking is not None:
        yield f"  DOES NOT FIT: {lacking}"


def _demands(config: Config) -> Iterator[FileDemand]:
    yield from _own(config)
    for key, section in (("server", config.server), ("feed", config.feed)):
        name = f"{key}.max_connections"
        if name in config.given and (key == "server" or config.feed.enabled):
            yield FileDemand(f"{name} ({section.max_connections})", section.max_connections)


def _own(config: Config) -> Iterator[FileDemand]:
    """Yield what the process needs whoever comes."""
    yield FileDemand("the gateway itself", _ENGINE_FILES + ADMIN_FILES + _OTHER_FILES)
    segments = config.journal.max_bytes // max(1, config.journal.segment_bytes) + 2
    yield FileDemand("the journal (journal.max_size)", segments)
    for one in config.subscribers:
        if one.enabled:
            yield FileDemand(f"concurrency of {one.name} ({one.concurrency})", one.concurrency)
