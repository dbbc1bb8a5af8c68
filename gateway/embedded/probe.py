"""Asking a unix socket whether a server answers there: a PING, no client library."""

import asyncio
import contextlib
import socket
from pathlib import Path

_TRY_S = 1.0
_POLL_S = 0.005


def accepts(path: Path) -> bool:
    """Tell whether something accepts connections at `path`. Takes a second at the very most."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_TRY_S)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def answers_within(path: Path, timeout_s: float) -> bool:
    """Wait up to `timeout_s` seconds until the server at `path` has loaded its data."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while not await answers(path):  # noqa: ASYNC110 - it is another process's doing
                await asyncio.sleep(_POLL_S)
            return True
    return False


async def answers(path: Path) -> bool:
    """Tell whether the server at `path` is there and has loaded its data."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"  # -LOADING while it reads its file
    except OSError:
        return False
    finally:
        writer.close()
