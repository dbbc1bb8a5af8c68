"""Whether a socket has something that nobody has read yet."""

import asyncio
import fcntl
import termios

_NOTHING = b"\0" * 4


def has_unread(descriptor: int) -> bool:
    """Tell whether bytes wait to be read; False where nobody can say."""
    try:
        return fcntl.ioctl(descriptor, termios.FIONREAD, _NOTHING) != _NOTHING
    except (OSError, ValueError):  # closed
        return False


def transport_has_unread(transport: asyncio.BaseTransport) -> bool:
    """Tell the same of a transport's socket, which it may have lost already."""
    own = transport.get_extra_info("socket")
    return own is not None and has_unread(own.fileno())
