"""The listening socket: opened here for the workers, or passed in by whoever started us.

Passed in as systemd does it (sd_listen_fds(3)): LISTEN_FDS counts descriptors from 3 on, meant
for the process LISTEN_PID. Such a socket outlives us, so while we restart connections queue.
"""

import os
import socket
from collections.abc import MutableMapping

from gateway.errors import GatewayError
from gateway.listening import EVERYWHERE, listen_everywhere
from gateway.lookup.own_names import own_addresses
from gateway.options import ServerOptions

_FIRST_FD = 3
_BACKLOG = 1024


def passed_in(environ: MutableMapping[str, str]) -> socket.socket | None:
    """Return the socket that was passed to this process, None when there is none.

    The variables are taken out of `environ`: they are not for our children. Raises
    `GatewayError` for anything but one listening TCP socket.
    """
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count or pid != str(os.getpid()):
        return None
    if count != "1":
        raise GatewayError(f"LISTEN_FDS is {count}: pass one socket, for the public port")
    try:
        found = socket.socket(fileno=_FIRST_FD)
    except OSError as error:
        raise GatewayError(f"LISTEN_FDS: descriptor 3 is no socket: {error.strerror}") from error
    found.set_inheritable(False)
    if not _is_listening(found):
        raise GatewayError("LISTEN_FDS: descriptor 3 is no listening TCP socket")
    found.setblocking(False)
    return found


def _is_listening(found: socket.socket) -> bool:
    is_tcp = found.family in {socket.AF_INET, socket.AF_INET6}
    if not is_tcp or found.type != socket.SOCK_STREAM:
        return False
    return bool(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


async def listen(options: ServerOptions) -> socket.socket:
    """Open the public port, to be shared. Raises `GatewayError`."""
    try:
        if options.host == EVERYWHERE:
            return listen_everywhere(options.port, _BACKLOG)
        found = await own_addresses(options.host, options.port)
        # One socket: of a name with addresses of both kinds, as localhost often is, that of IPv4.
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        opened = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise GatewayError(
            f"cannot open the public port on {options.host}:{options.port}:"
            f" {error.strerror or error}"
        ) from error
    opened.setblocking(False)
    return opened
