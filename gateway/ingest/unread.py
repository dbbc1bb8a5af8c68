"""Whether a socket has something that nobody has read yet."""

import fcntl
import termios

_NOTHING = b"\0" * 4


def has_unread(descriptor: int) -> bool:
    """Tell whether bytes wait to be read; False where nobody can say."""
    try:
        return fcntl.ioctl(descriptor, termios.FIONREAD, _NOTHING) != _NOTHING
    except (OSError, ValueError):  # closed
        return False
