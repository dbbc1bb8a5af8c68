"""Room on a connection: waiting until the other side has taken most of what was written."""

import asyncio

_ROOM_BYTES = 64 << 10
_POLL_S = 0.01
_PATIENCE_S = 30.0


async def wait_for_room(transport: asyncio.Transport | None) -> None:
    """Return when little is on its way. Raises ConnectionError when the other side is gone or
    takes nothing for `_PATIENCE_S`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    while True:
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the other side is gone")
        if transport.get_write_buffer_size() < _ROOM_BYTES:
            return
        if loop.time() > deadline:
            raise ConnectionAbortedError("the other side takes nothing")
        await asyncio.sleep(_POLL_S)
