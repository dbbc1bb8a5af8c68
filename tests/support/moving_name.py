"""A name behind which another server comes to be: new connections go there, old ones stay."""

import asyncio
from contextlib import asynccontextmanager


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
        ways = [_pour(reader, to_there), _pour(there, writer)]
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for one in (writer, to_there):
                one.transport.abort()


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass


@asynccontextmanager
async def moving_name(port: int):
    name = MovingName(port)
    server = await asyncio.start_server(name.serve, "127.0.0.1", 0)
    name.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield name
    finally:
        server.close()
