"""The supervised Valkey: with no Redis configured, the gateway brings its own.

One process owns the data directory and keeps a server running in it; workers and commands
attach to its unix socket. The server is started from `discovery`'s binary with `server`'s
settings in `folder`'s place, watched by `engine`, borrowed by commands through `borrowing`.

It never runs two servers on one directory: nothing in Valkey refuses that, and they would
interleave their append-only files. `locks` makes it impossible, by a lock that the server's own
process holds. Nothing here waits for the server to be ready, nor speaks Redis beyond a PING.

Files that a power failure has damaged are mended by `mending`, with the list of them (`manifest`)
and what is in them (`scanning`); what is cut off is kept in `cuts`' folders.
"""

from pathlib import Path

from gateway.embedded.attaching import attach, attached_or_started
from gateway.embedded.cuts import Cut, moment, read_cuts
from gateway.embedded.discovery import find_server
from gateway.embedded.engine import EmbeddedEngine
from gateway.embedded.folder import Folder, discard_data, holds_data

__all__ = [
    "Cut",
    "EmbeddedEngine",
    "attach",
    "attached_or_started",
    "discard_data",
    "find_server",
    "holds_data",
    "moment",
    "read_cuts_in",
]


def read_cuts_in(data_dir: Path) -> list[tuple[Path, Cut]]:
    """Return what was cut off the files in `data_dir` and not taken away yet, oldest first."""
    return read_cuts(Folder.of(data_dir).damaged)
