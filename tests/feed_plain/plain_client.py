"""Clients of the plain feed for tests: a WebSocket, a stream of events, and a sender."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import aiohttp
from support import jwts

CALL = "default:numbers"
KEY, SECRET = "demo-key", "demo-secret"


def token(user="alice", *, secret=SECRET, lifetime_s=86_400, **claims):
    now = int(time.time())
    return jwts.encode(
        {"user_id": user, "iat": now - 5, "exp": now + lifetime_s, **claims}, secret, "HS256"
    )


class Socket:
    """An open WebSocket of the plain feed; `cursor` is the newest that came."""

    def __init__(self, socket):
        self.raw = socket
        self.cursor = None

    async def say(self, **message):
        await self.raw.send_str(json.dumps(message))

    async def hear(self, within_s=30.0):
        """The next message that is no ping; None when it was closed."""
        while True:
            message = await self.raw.receive(timeout=within_s)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return None
            said = json.loads(message.data)
            self.cursor = said.get("cursor") or self.cursor
            if said.get("type") != "ping":
                return said

    async def numbers(self, count, within_s=30.0):
        """The numbers of the next `count` messages, which must be events."""
        said = [await self.hear(within_s) for _ in range(count)]
        return [one["event"]["custom"]["n"] for one in said]

    def cut(self):
        """As a network does: without a goodbye."""
        self.raw._response.connection.transport.abort()


@asynccontextmanager
async def opened(gateway, path="/feed", **arguments):
    """A WebSocket that has said nothing yet."""
    url = f"http://127.0.0.1:{gateway.port}{path}"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(
            url, timeout=aiohttp.ClientWSTimeout(ws_close=30), **arguments
        ) as socket:
            yield Socket(socket)


@asynccontextmanager
async def watching(gateway, *calls, user="alice", **more):
    """A WebSocket that watches; the answer is its `first`."""
    async with opened(gateway) as socket:
        first = {"type": "watch", "token": token(user), "api_key": KEY, "calls": calls or [CALL]}
        await socket.say(**{**first, **more})
        socket.first = await socket.hear()
        assert (socket.first or {}).get("type") == "watching", socket.first
        yield socket


class Events:
    """Server-sent events, read as the standard says, comments aside."""

    def __init__(self, response):
        self.response = response
        self.id = None

    async def hear(self):
        """The next message and its id; None at the end."""
        data, last = [], None
        while line := await asyncio.wait_for(self.response.content.readline(), 30):
            line = line.decode().rstrip("\n")
            name, _, text = line.partition(": ")
            if name == "data":
                data.append(text)
            elif name == "id":
                last = self.id = text
            elif not line and data:
                return json.loads("\n".join(data)), last
        return None


@asynccontextmanager
async def events(gateway, *, headers=None, bearer=None, **query):
    """The answer to GET /feed; `call` may be a list."""
    headers = dict(headers or {})
    if bearer is None:
        headers.setdefault("Authorization", token())
    elif bearer:
        headers["Authorization"] = bearer
    url = f"http://127.0.0.1:{gateway.port}/feed"
    pairs = [("api_key", KEY)]
    for name, value in query.items():
        pairs += [(name, one) for one in (value if isinstance(value, list) else [value])]
    async with aiohttp.ClientSession() as session:
        async with session.get(url, params=pairs, headers=headers) as response:
            yield Events(response)
