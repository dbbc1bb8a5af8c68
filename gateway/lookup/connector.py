"""The connector for clients of aiohttp's: names are looked up by our resolver.

aiohttp keeps no answer beside it: what is known of a name is known in one place.
"""

import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.lookup.resolver import resolver, text_of

KEPT_S = 10.0  # a server that closes after every answer costs no lookup for each


class _Lookup(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await resolver().addresses(
            host, port, family=family, flags=socket.AI_ADDRCONFIG, max_age_s=KEPT_S
        )
        return [
            ResolveResult(
                hostname=host,
                host=text_of(one),
                port=port,
                family=one[0],
                proto=one[2],
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for one in found
        ]

    async def close(self) -> None:
        """Do nothing: the resolver is the loop's."""


def connector(**options: Any) -> aiohttp.TCPConnector:
    """Return one with aiohttp's `options`. Call it inside the running loop."""
    return aiohttp.TCPConnector(resolver=_Lookup(), use_dns_cache=False, **options)
