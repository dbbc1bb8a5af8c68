"""Ports for servers that bind them by themselves, a moment after they were found to be free.

They lie below those that the system gives to clients, who would be first; each process of a test
run has a range of its own, and none is told twice before all others were.
"""

import contextlib
import os
import random
import socket

_FIRST, _LAST, _RANGES = 12_000, 32_000, 8
_EACH = (_LAST - _FIRST) // _RANGES
_range = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _RANGES
_told = random.randrange(_EACH)


def free_port() -> int:
    """A port that nobody has."""
    global _told  # noqa: PLW0603 - one sequence for all who ask
    while True:
        _told = (_told + 1) % _EACH
        port = _FIRST + _range * _EACH + _told
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def free_ports(count: int) -> list[int]:
    """So many, no two the same."""
    return [free_port() for _ in range(count)]


@contextlib.contextmanager
def full_port(port: int, *, host: str = "127.0.0.1"):
    """Have this port answer nobody who wants to connect: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        while True:
            one = stack.enter_context(socket.socket())
            one.settimeout(0.2)
            try:
                one.connect(listener.getsockname())
            except TimeoutError:
                break
        yield
