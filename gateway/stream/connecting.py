"""Connecting: to a host (each of its addresses in turn) or a socket, over TLS or not, logged in.

RESP2, which every server speaks from the start, without a greeting: the same raw lists from all.
No error says a word of the credentials.
"""

import asyncio
import socket

from gateway.stream.access import Access
from gateway.stream.addresses import Address
from gateway.stream.resp import Connection, ErrorReply, pack


async def connect(address: Address, access: Access, timeout_s: float) -> Connection:
    """Return a connection that can be used at once.

    Raises `OSError` when nobody is there within `timeout_s` or does not let us in, `ErrorReply`
    when there is no such database.
    """
    try:
        async with asyncio.timeout(timeout_s):
            connection = await _open(address, access)
            try:
                await _log_in(connection, address)
            except BaseException:
                connection.end(ConnectionError("given up"))
                raise
            return connection
    except TimeoutError:
        raise TimeoutError(f"cannot connect to {address} within {timeout_s:g} s") from None


async def _open(address: Address, access: Access) -> Connection:
    loop = asyncio.get_running_loop()
    try:
        if address.path:
            _, connection = await loop.create_unix_connection(Connection, address.path)
            return connection
        tls = access.context() if address.is_tls else None
        _, connection = await loop.create_connection(
            Connection, address.host, address.port, ssl=tls
        )
    except (OSError, UnicodeError) as error:  # the latter: no name that can be looked up
        why = getattr(error, "strerror", None) or error
        raise ConnectionError(f"cannot connect to {address}: {why}") from error
    # Without delay it is already: every loop sets that by itself.
    plug = connection.transport.get_extra_info("socket")
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection


async def _log_in(connection: Connection, address: Address) -> None:
    commands = []
    if address.credentials:
        commands.append(pack("AUTH", *address.credentials))
    if address.database:
        commands.append(pack("SELECT", address.database))
    if not commands:
        return
    first, *rest = await connection.ask(commands)
    if address.credentials and isinstance(first, ErrorReply):
        # Passing, as is nobody being there: a password may be changed at one side first.
        raise ConnectionError(f"{address} does not let us in: {first}")
    for reply in (first, *rest):
        if isinstance(reply, ErrorReply):
            raise reply
