"""The supervised Valkey: with no Redis configured, the gateway brings its own.

One process owns the data directory and keeps a server running in it; workers and commands
attach to its unix socket. The server is started from `discovery`'s binary with `server`'s
settings in `folder`'s place, watched by `engine`, borrowed by commands through `borrowing`.

It never runs two servers on one directory: nothing in Valkey refuses that, and they would
interleave their append-only files. `locks` makes it impossible, by a lock that the server's own
process holds. Nothing here waits for the server to be ready, nor speaks Redis beyond a PING.
"""

from gateway.embedded.borrowing import attach, attached_or_started
from gateway.embedded.discovery import find_server
from gateway.embedded.engine import EmbeddedEngine
from gateway.embedded.folder import discard_data, holds_data

__all__ = [
    "EmbeddedEngine",
    "attach",
    "attached_or_started",
    "discard_data",
    "find_server",
    "holds_data",
]
