"""What it takes to be let in, beside the URL: files for TLS, and what Sentinels ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.options import RedisOptions


@dataclass(frozen=True, slots=True)
class Access:
    """Arguments of redis-py: `tls` for URLs that begin with rediss, `sentinel` for Sentinels."""

    tls: Mapping[str, Any] = field(default_factory=dict)
    sentinel: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def client(self, url: str, **more: Any) -> aioredis.Redis:
        """Return a client for one server, which never repeats a command by itself."""
        return aioredis.Redis.from_url(url, **self._arguments(url, more))

    def pool(self, url: str, **more: Any) -> aioredis.ConnectionPool:
        """Return what makes single connections to one server."""
        return aioredis.ConnectionPool.from_url(url, **self._arguments(url, more))

    def _arguments(self, url: str, more: Mapping[str, Any]) -> dict[str, Any]:
        tls = self.tls if url.startswith("rediss:") else {}
        # Protocol 2: raw lists, the same shape from every engine.
        return {"protocol": 2, "retry": Retry(NoBackoff(), 0), **tls, **more}


def access_of(options: RedisOptions) -> Access:
    """Return what the configuration gives."""
    files = {
        "ssl_ca_certs": options.ca,
        "ssl_certfile": options.client_cert,
        "ssl_keyfile": options.client_key,
    }
    sentinel = {"username": options.sentinel_username, "password": options.sentinel_password}
    return Access(
        tls={name: str(file) for name, file in files.items() if file is not None},
        sentinel={name: text for name, text in sentinel.items() if text is not None},
    )
