"""Listening sockets on every address of a machine, of both families at once.

`::` is that in our configuration, as it is in most servers' and not in Python's, which leaves the
older family out. Where a machine has no IPv6 it is every address of the other one.
"""

import socket

EVERYWHERE = "::"


def listen_everywhere(port: int, backlog: int) -> socket.socket:
    """Return a socket that listens on every address, non-blocking. Raises OSError."""
    try:
        opened = socket.create_server(
            (EVERYWHERE, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog
        )
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and _has_ipv6():
            raise
        opened = socket.create_server(("", port), backlog=backlog)
    opened.setblocking(False)
    return opened


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((EVERYWHERE, 0))
    except OSError:
        return False
    return socket.has_dualstack_ipv6()
