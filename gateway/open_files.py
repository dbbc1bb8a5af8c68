"""How many files may be open, and who has to stay away before there are none left.

The limit is shared by all that a process does: connections of senders and watchers, subscribers,
the engine, the journal. Watchers are turned away first, then strangers among the senders; the rest
belongs to the process itself, which so never runs out. A new descriptor is always the lowest that
is free: its number is a lower bound of what is open, at no cost.
"""

import contextlib
import os
import resource
from dataclasses import dataclass

from gateway.options import Config

_ENGINE_FILES = 128  # connections that wait for answers, and for entries
_OTHER_FILES = 64  # journal, admin listener, what is opened for a moment
LINGERING_FILES = 256  # of connections that have been answered for good
_SENDERS_SHARE = 256  # that watchers leave to senders, where there are that many
_UNLIMITED = 1 << 20


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
    free = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.close(free)
    return free


@dataclass(frozen=True, slots=True)
class FileRoom:
    """With how many open senders may come, and watchers; how many connections may linger."""

    limit: int = _UNLIMITED
    used: int = 0  # at the start, without any connection
    senders_below: int = _UNLIMITED
    watchers_below: int = _UNLIMITED
    edge: int = _UNLIMITED  # a descriptor: from it on files run short, whatever has them
    lingering: int = LINGERING_FILES


def room(config: Config, most: int, used: int) -> FileRoom:
    """Divide `most` files, of which the process has `used` at the start. Pure."""
    free = max(0, most - used)
    own = min(_own(config), free // 2)
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


def shortage(config: Config, room: FileRoom) -> str | None:
    """Say what of the configuration the limit cannot hold, and what to do; None: it holds. Pure."""
    watchers = config.feed.max_connections if config.feed.enabled else 0
    needed = room.used + _own(config) + LINGERING_FILES + config.server.max_connections + watchers
    if room.limit >= needed:
        return None
    wanted = f"server.max_connections {config.server.max_connections}"
    if watchers:
        wanted += f" and feed.max_connections {watchers}"
    held = max(0, room.senders_below - room.used)
    return (
        f"at most {room.limit} files may be open, which is room for about {held} connections:"
        f" {wanted} need {needed}. Allow as many (ulimit -Hn, LimitNOFILE=, --ulimit nofile=), or"
        " lower these bounds; until then strangers are turned away near the limit"
    )


def _own(config: Config) -> int:
    called = sum(one.concurrency for one in config.subscribers if one.enabled)
    return _ENGINE_FILES + _OTHER_FILES + called
