"""Connecting: to a host (by whichever of its addresses answers) or a socket, over TLS or not, and
logged in.

RESP2, which every server speaks from the start, without a greeting: the same raw lists from all.
No error says a word of the credentials. What a URL may be is judged before (`url`); here it is only
taken apart, and what stands in it in %-signs is meant as what they stand for.
"""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from aiohappyeyeballs import start_connection

from gateway.engine.access import EngineAccess
from gateway.engine.resp import ErrorReply, RespConnection, pack
from gateway.engine.url import DEFAULT_PORT, at
from gateway.lookup.resolver import resolver

_NEXT_ADDRESS_AFTER_S = 0.25  # RFC 8305


@dataclass(frozen=True, slots=True)
class Address:
    """`path`: of a socket, in place of host and port. `credentials`: the arguments of AUTH.

    Its text is where the server is, without a word of how to be let in.
    """

    host: str
    port: int
    path: str = ""
    is_tls: bool = False
    credentials: tuple[str, ...] = field(default=(), repr=False)
    database: int = 0

    def __str__(self) -> str:
        return self.path or at(self.host, self.port)


def address_of(url: str) -> Address:
    """Return the address of the server at `url`: redis://, rediss:// or unix://."""
    parts = urlsplit(url)
    path = unquote(parts.path)
    database = parts.query.removeprefix("db=")
    if parts.scheme == "unix":
        return Address("", 0, path, credentials=_credentials(parts), database=int(database or 0))
    return Address(
        host=unquote(parts.hostname or ""),
        port=parts.port or DEFAULT_PORT["one"],
        is_tls=parts.scheme == "rediss",
        credentials=_credentials(parts),
        database=int(database or path.strip("/") or 0),
    )


def _credentials(parts: SplitResult) -> tuple[str, ...]:
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if user:
        return user, password
    return (password,) if password else ()


async def connect(address: Address, access: EngineAccess, timeout_s: float) -> RespConnection:
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


async def _open(address: Address, access: EngineAccess) -> RespConnection:
    tls = access.context() if address.is_tls else None
    try:
        return await (_open_socket(address) if address.path else _open_host(address, tls))
    except (OSError, UnicodeError) as error:
        raise ConnectionError(f"cannot connect to {address}: {_why(error)}") from error


async def _open_socket(address: Address) -> RespConnection:
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_unix_connection(RespConnection, address.path)
    return connection


async def _open_host(address: Address, tls: ssl.SSLContext | None) -> RespConnection:
    loop = asyncio.get_running_loop()
    plug = await open_host(address.host, address.port)
    try:
        name = address.host.rstrip(".") if tls else None
        _, connection = await loop.create_connection(
            RespConnection, sock=plug, ssl=tls, server_hostname=name
        )
    except BaseException:
        plug.close()
        raise
    return connection


async def open_host(host: str, port: int) -> socket.socket:
    """Return a socket that is connected to `host`. Raises `OSError` and `UnicodeError`."""
    found = await resolver().addresses(host, port)
    plug = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S)
    try:
        plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        plug.close()
        raise
    return plug


def _why(error: OSError | UnicodeError) -> str:
    if isinstance(error, ssl.SSLError | socket.gaierror):
        return error.strerror or str(error)
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return "this is no name" if isinstance(error, UnicodeError) else str(error) or "it was closed"


async def _log_in(connection: RespConnection, address: Address) -> None:
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
