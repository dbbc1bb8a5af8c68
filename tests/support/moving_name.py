"""A name behind which another server comes to be: new connections go there, old ones stay."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.pouring import pour


class MovingName:
    """Set `port` to have whoever connects from now on come to another server."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            writer.close()
            return
        ways = [pour(reader, to_there), pour(there, writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for one in (writer, to_there):
                one.transport.abort()


@asynccontextmanager
async def moving_name(port: int) -> AsyncIterator[MovingName]:
    name = MovingName(port)
    server = await asyncio.start_server(name.serve, "127.0.0.1", 0)
    name.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield name
    finally:
        server.close()
