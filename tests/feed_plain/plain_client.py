"""Clients of the plain feed for tests: a WebSocket, a stream of events, and a sender."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from support import jwts
from support.running_gateway import RunningGateway

CALL = "default:numbers"
KEY, SECRET = "demo-key", "demo-secret"


def token(
    user: str = "alice", *, secret: str = SECRET, lifetime_s: float = 86_400, **claims: Any
) -> str:
    now = int(time.time())
    return jwts.encode(
        {"user_id": user, "iat": now - 5, "exp": now + lifetime_s, **claims}, secret, "HS256"
    )


class Socket:
    """An open WebSocket of the plain feed; `cursor` is the newest that came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.raw = socket
        self.cursor: str | None = None
        self.first: Any = None

    async def say(self, **message: Any) -> None:
        await self.raw.send_str(json.dumps(message))

    async def hear(self, within_s: float = 30.0) -> Any:
        """The next message that is no ping; None when it was closed."""
        while True:
            message = await self.raw.receive(timeout=within_s)
            if message.type is not aiohttp.WSMsgType.TEXT:
                return None
            said = json.loads(message.data)
            self.cursor = said.get("cursor") or self.cursor
            if said.get("type") != "ping":
                return said

    async def numbers(self, count: int, within_s: float = 30.0) -> list[int]:
        """The numbers of the next `count` messages, which must be events."""
        said = [await self.hear(within_s) for _ in range(count)]
        return [one["event"]["custom"]["n"] for one in said]

    def cut(self) -> None:
        """As a network does: without a goodbye."""
        connection: Any = self.raw._response.connection
        connection.transport.abort()


@asynccontextmanager
async def opened(
    gateway: RunningGateway, path: str = "/feed", **arguments: Any
) -> AsyncIterator[Socket]:
    """A WebSocket that has said nothing yet."""
    url = f"http://127.0.0.1:{gateway.port}{path}"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(
            url, timeout=aiohttp.ClientWSTimeout(ws_close=30), **arguments
        ) as socket:
            yield Socket(socket)


@asynccontextmanager
async def watching(
    gateway: RunningGateway, *calls: Any, user: str = "alice", **more: Any
) -> AsyncIterator[Socket]:
    """A WebSocket that watches; the answer is its `first`."""
    async with opened(gateway) as socket:
        first = {"type": "watch", "token": token(user), "api_key": KEY, "calls": calls or [CALL]}
        await socket.say(**{**first, **more})
        socket.first = await socket.hear()
        assert (socket.first or {}).get("type") == "watching", socket.first
        yield socket


class Events:
    """Server-sent events, read as the standard says, comments aside."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.id: str | None = None

    async def hear(self) -> Any:
        """The next message and its id; None at the end."""
        data: list[str] = []
        last: str | None = None
        while read := await asyncio.wait_for(self.response.content.readline(), 30):
            line = read.decode().rstrip("\n")
            name, _, text = line.partition(": ")
            if name == "data":
                data.append(text)
            elif name == "id":
                last = self.id = text
            elif not line and data:
                return json.loads("\n".join(data)), last
        return None


@asynccontextmanager
async def events(
    gateway: RunningGateway,
    *,
    headers: dict[str, str] | None = None,
    bearer: str | None = None,
    **query: Any,
) -> AsyncIterator[Events]:
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
