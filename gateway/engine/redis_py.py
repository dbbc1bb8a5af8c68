"""Asking a Sentinel, or a node of a Cluster, what it knows: by redis-py.

That is rare, wants TLS and at times credentials of its own, and redis-py is well kept. It takes
some 7 MB of memory: who has one server, about which nobody has to be asked, never loads it.
Only the socket is ours: names are looked up as everywhere here, and TLS still checks the name.
"""

import asyncio
import ssl
from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.engine.access import EngineAccess
from gateway.engine.dialing import open_host


class _Plain(aioredis.Connection):
    async def _connect(self) -> None:
        await _open(self, None)


class _Tls(aioredis.SSLConnection):
    async def _connect(self) -> None:
        await _open(self, self.ssl_context.get())


async def _open(connection: Any, tls: ssl.SSLContext | None) -> None:
    name = connection.host.rstrip(".") if tls else None
    async with asyncio.timeout(connection.socket_connect_timeout):
        plug = await open_host(connection.host, connection.port)
        try:
            opened = await asyncio.open_connection(sock=plug, ssl=tls, server_hostname=name)
        except BaseException:
            plug.close()
            raise
    connection._reader, connection._writer = opened  # noqa: SLF001  # as redis-py's own do


async def ask(
    url: str, command: tuple[str, ...], *, access: EngineAccess, timeout_s: float, **more: Any
) -> Any:
    """Return the raw reply of the one at `url`. `more`: its username and password, if not in `url`.

    Raises `OSError` for whatever goes wrong, an error reply included.
    """
    is_tls = url.startswith("rediss:")
    pool = aioredis.ConnectionPool.from_url(
        url,
        protocol=2,  # raw lists, the same from every make
        retry=Retry(NoBackoff(), 0),  # who asks goes on to the next one
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        **(_files(access) if is_tls else {}),
        **more,
    )
    pool.connection_class = _Tls if is_tls else _Plain
    client = aioredis.Redis.from_pool(pool)
    try:
        return await client.execute_command(*command, NEVER_DECODE=False)  # type: ignore[no-untyped-call]
    except RedisError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
    finally:
        await client.aclose()


def _files(access: EngineAccess) -> dict[str, Any]:
    files = {
        "ssl_ca_certs": access.ca,
        "ssl_certfile": access.client_cert,
        "ssl_keyfile": access.client_key,
    }
    return {name: str(file) for name, file in files.items() if file is not None}
