"""Bytes from one connection to another: what proxies of tests are made of."""

import asyncio


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write to `writer` whatever comes from `reader`, until either ends."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
