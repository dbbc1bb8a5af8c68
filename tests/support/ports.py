"""Ports for servers that bind them by themselves, a moment after they were found to be free.

They lie below those that the system gives to clients, who would be first. They come in blocks, and
a process has a block for itself, however many test runs there are on this machine: it holds the
first port of it, bound, for as long as it lives. No port is told twice before all others were.
"""

import contextlib
import functools
import itertools
import random
import socket
from collections.abc import Iterator

_FIRST, _EACH, _BLOCKS = 12_000, 500, 40


def free_port() -> int:
    """A port that nobody has."""
    return next(port for port in _told() if _is_free(port))


def free_ports(count: int) -> list[int]:
    """So many, no two the same."""
    return [free_port() for _ in range(count)]


@functools.cache
def _told() -> Iterator[int]:
    """The ports of a block of our own, round and round."""
    for number in random.sample(range(_BLOCKS), _BLOCKS):
        first = _FIRST + number * _EACH
        with socket.socket() as holder, contextlib.suppress(OSError):
            holder.bind(("127.0.0.1", first))
            holder.detach()  # never closed: the block is ours until this process ends
            return itertools.cycle(range(first + 1, first + _EACH))
    raise RuntimeError("every block of ports has a process that holds it: do old test runs linger?")


def _is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("127.0.0.1", port))
        return True
    return False


@contextlib.contextmanager
def full_port(port: int, *, host: str = "127.0.0.1") -> Iterator[None]:
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
