"""Run by test_dead_watchers in a network of its own: watchers whose network is gone at once.

    PYTHONPATH=tests:tests/feed_plain unshare -Urn python vanishing.py FOLDER PING_INTERVAL_S

Prints a line of JSON. No FIN and no RST comes from them, and nothing that is sent arrives.
"""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
from plain_client import CALL, KEY, token
from support.eventually import eventually
from support.feed import feeding_gateway

USERS = ("ann", "ben")
OPEN = 'gateway_feed_connections{protocol="plain"}'


def ip(*words):
    subprocess.run(["ip", *words], check=True)


async def watch(gateway, user, address):
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", gateway.port, local_addr=(address, 0)
    )
    writer.write(
        f"GET /feed?api_key={KEY}&call={CALL} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: {token(user)}\r\n\r\n".encode()
    )
    await asyncio.wait_for(reader.readuntil(b'"watching"'), 30)
    return writer


async def come_back(gateway, user):
    """The status that a user gets who opens one more."""
    url = f"http://127.0.0.1:{gateway.port}/feed"
    async with aiohttp.ClientSession(headers={"Authorization": token(user)}) as session:
        async with session.get(url, params={"api_key": KEY, "call": CALL}) as response:
            return response.status


async def main(folder, ping_s):
    ip("link", "set", "lo", "up")
    bounds = {"max_connections_per_user": 3, "ping_interval": f"{ping_s}s"}
    async with feeding_gateway(folder, {}, **bounds) as gateway:
        gone = [await watch(gateway, "ann", "127.0.0.2") for _ in range(3)]
        here = [await watch(gateway, "ben", "127.0.0.1") for _ in range(3)]
        ip("route", "add", "blackhole", "127.0.0.2/32", "table", "local")
        began = time.monotonic()
        told = {user: await come_back(gateway, user) for user in USERS}
        if ping_s == 1:

            async def only_ben_is_left():
                return await gateway.metric(OPEN) == 3

            await eventually(only_ben_is_left, within_s=60)
        told["took_s"] = time.monotonic() - began
        told["open"] = await gateway.metric(OPEN)
        ip("route", "del", "blackhole", "127.0.0.2/32", "table", "local")
        for one in gone + here:
            one.transport.abort()
    print(json.dumps(told))


asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
