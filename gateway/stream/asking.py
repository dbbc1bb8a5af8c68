"""Asking a Sentinel, or a node of a Cluster, what it knows: by redis-py.

That is rare, wants TLS and at times credentials of its own, and redis-py is well kept. It takes
some 7 MB of memory: who has one server, about which nobody has to be asked, never loads it.
"""

from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.stream.access import Access


async def ask(
    url: str, command: tuple[str, ...], *, access: Access, timeout_s: float, **more: Any
) -> Any:
    """Return the raw reply of the one at `url`. `more`: its username and password, if not in `url`.

    Raises `OSError` for whatever goes wrong, an error reply included.
    """
    client = aioredis.Redis.from_url(
        url,
        protocol=2,  # raw lists, the same from every make
        retry=Retry(NoBackoff(), 0),  # who asks goes on to the next one
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        single_connection_client=True,
        **(_files(access) if url.startswith("rediss:") else {}),
        **more,
    )
    try:
        return await client.execute_command(*command, NEVER_DECODE=False)  # type: ignore[no-untyped-call]
    except RedisError as error:
        raise ConnectionError(str(error) or type(error).__name__) from error
    finally:
        await client.aclose()


def _files(access: Access) -> dict[str, Any]:
    files = {
        "ssl_ca_certs": access.ca,
        "ssl_certfile": access.client_cert,
        "ssl_keyfile": access.client_key,
    }
    return {name: str(file) for name, file in files.items() if file is not None}
