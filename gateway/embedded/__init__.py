"""The supervised Valkey: with no Redis configured, the gateway brings its own.

    engine      the owner: takes the directory, and keeps a server running in it
    discovery   where the server's binary is
    folder      the engine's place on disk
    locks       locks on files, which end with the processes that hold them
    server      one life of the server process
    socket_path where its socket can be
    probe       whether a server answers there
    attaching   how commands reach it: the running gateway's, or one of their own meanwhile

Files after a power failure:

    repair      looks at them, and mends them so that the server starts
    diagnosis   what is wrong, and what is to be done; changes nothing
    manifest    the list of the append-only files
    scanning    a file of commands, read to its first one that is not whole
    checker     the server's own checkers
    cuts        what was cut off, kept aside whole

One process owns the data directory; workers and commands attach to the server's unix socket. Two
servers on one directory would interleave their files, and nothing in Valkey refuses that: a lock
that the server's own process holds does, wherever the file system has locks. Nothing here waits
for the server to be ready, nor speaks Redis beyond a PING.
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
