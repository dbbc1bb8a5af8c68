"""A Redis as it was before version 7, as far as somebody sees of it who asks what it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis

_INFO = (
    "# Server\r\nredis_version:6.2.5\r\nredis_mode:standalone\r\n"
    "# Memory\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n"
)


class OldRedis:
    """`asked`: the commands that came. What it does not know it answers as the real one does."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: set[str] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(1 << 16):
            commands.feed(data)
            while command := commands.gets():
                writer.write(self._answer(command[0].decode().upper()))
        writer.close()

    def _answer(self, name: str) -> bytes:
        self.asked.add(name)
        if name == "INFO":
            return f"${len(_INFO)}\r\n{_INFO}\r\n".encode()
        if name == "SELECT":
            return b"+OK\r\n"
        return b"-ERR Unknown subcommand or wrong number of arguments\r\n"


@asynccontextmanager
async def old_redis() -> AsyncIterator[OldRedis]:
    old = OldRedis()
    server = await asyncio.start_server(old.serve, "127.0.0.1", 0)
    old.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield old
    finally:
        server.close()
