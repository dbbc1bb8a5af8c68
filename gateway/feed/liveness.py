"""Whether the other end of a connection is still there, as the kernel knows it.

Who only listens says nothing, so nobody hears that he is gone: but the kernel knows what the
other end has acknowledged. `drop_when_silent` has it cut a connection off; `unacknowledged_bytes`
is for those who cannot wait for that. Where the system tells neither, nothing is claimed.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Sequence
from typing import Protocol, TypeVar

_POLL_S, _POLLS = 0.05, 20


class Probed(Protocol):
    """A connection that can be asked whether anybody is there."""

    def probe(self) -> None:
        """Write something that has to be acknowledged."""

    def unacknowledged_bytes(self) -> int | None: ...


def drop_when_silent(transport: asyncio.Transport, after_s: float) -> None:
    """Have a connection end once what was written is not acknowledged for so long."""
    own = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    if own is not None and option is not None and own.family in {socket.AF_INET, socket.AF_INET6}:
        own.setsockopt(socket.IPPROTO_TCP, option, int(after_s * 1000))


def unacknowledged_bytes(transport: asyncio.Transport | None) -> int | None:
    """Return what was written and has not arrived; None where that cannot be known."""
    if transport is None or transport.is_closing():
        return None
    own = transport.get_extra_info("socket")
    if own is None:
        return None
    try:
        answer = fcntl.ioctl(own.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return None
    (waits,) = struct.unpack("i", answer)
    return int(waits) + transport.get_write_buffer_size()


P = TypeVar("P", bound=Probed)


async def who_is_gone(crowd: Sequence[P]) -> list[P]:
    """Return those of whom nothing comes within a second, though they were written to."""
    for one in crowd:
        one.probe()
    least = {one: one.unacknowledged_bytes() for one in crowd}
    for _ in range(_POLLS):
        await asyncio.sleep(_POLL_S)
        for one, before in tuple(least.items()):
            now = one.unacknowledged_bytes()
            if now is None or before is None or now == 0 or now < before:
                del least[one]
        if not least:
            break
    return list(least)
