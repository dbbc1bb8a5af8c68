"""Our own names: the hosts that the configuration has us listen at.

Such a name is this machine's, and known at once; where it is not, nobody waits for long.
"""

import asyncio
import socket

from aiohappyeyeballs import AddrInfoType

from gateway.lookup.resolver import resolver, text_of

_PATIENCE_S = 5.0


async def own_addresses(host: str, port: int) -> list[AddrInfoType]:
    """Return all that `host` means. Raises `OSError`."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await resolver().addresses(host, port, flags=socket.AI_PASSIVE)
    except TimeoutError:
        raise TimeoutError(
            f"the name is not answered for within {_PATIENCE_S:g} s: name an address, or look at"
            " the DNS servers that this machine asks"
        ) from None
    except UnicodeError as error:
        raise OSError("this is no name") from error


async def own_hosts(host: str, port: int) -> list[str]:
    """Return the same as texts, each once. Raises `OSError`."""
    return list(dict.fromkeys(text_of(one) for one in await own_addresses(host, port)))
