"""Stream's socket by hand: what an SDK says on it, and what no SDK would."""

import asyncio
import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from support import jwts
from support.running_gateway import RunningGateway

from gateway.calls.tokens import Tokens
from gateway.options import App

KEY, SECRET = "demo-key", "demo-secret"
OTHER_KEY, OTHER_SECRET = "other-key", "second-secret"
CALL = "default:room"
TOKENS = Tokens(
    [App(api_key=KEY, secrets=(SECRET,)), App(api_key=OTHER_KEY, secrets=(OTHER_SECRET,))]
)


def token(
    user: str | None = "alice", *, secret: str = SECRET, lifetime_s: float = 86_400, **claims: Any
) -> str:
    now = int(time.time())
    named = {} if user is None else {"user_id": user}
    return jwts.encode(
        {**named, "iat": now - 5, "exp": now + lifetime_s, **claims}, secret, "HS256"
    )


def unsigned(user: str = "alice") -> str:
    """A token that says of itself that it needs no signature."""
    return jwts.encode({"user_id": user}, "", "none")


class SdkSocket:
    """An open socket; `id` once it is connected."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, user: str | None) -> None:
        self.raw, self.user, self.id = socket, user, ""
        self.ok: Any = None

    async def hello(self, text: str | None = None, **more: Any) -> None:
        first = {
            "token": token(self.user),
            "products": ["video"],
            "user_details": {"id": self.user},
        }
        await self.raw.send_str(text if text is not None else json.dumps({**first, **more}))

    async def hear(self, within_s: float = 30.0) -> Any:
        """The next message; None when it has closed."""
        message = await self.raw.receive(timeout=within_s)
        return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None

    async def event(self, within_s: float = 30.0) -> Any:
        """The next message that is no sign of life."""
        while (said := await self.hear(within_s)) is not None and said["type"] == "health.check":
            pass
        return said

    async def numbers(self, count: int, within_s: float = 30.0) -> list[int]:
        return [(await self.event(within_s))["custom"]["n"] for _ in range(count)]

    def cut(self) -> None:
        connection: Any = self.raw._response.connection
        connection.transport.abort()


@asynccontextmanager
async def opened(
    gateway: RunningGateway, user: str | None = "alice", *, key: str = KEY, **arguments: Any
) -> AsyncIterator[SdkSocket]:
    """A socket that has said nothing yet."""
    url = f"http://127.0.0.1:{gateway.port}/video/connect?api_key={key}&stream-auth-type=jwt"
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(
            url, timeout=aiohttp.ClientWSTimeout(ws_close=30), **arguments
        ) as socket:
            yield SdkSocket(socket, user)


@asynccontextmanager
async def connected(
    gateway: RunningGateway,
    user: str | None = "alice",
    *,
    key: str = KEY,
    secret: str = SECRET,
    **claims: Any,
) -> AsyncIterator[SdkSocket]:
    async with opened(gateway, user, key=key) as socket:
        await socket.hello(token=token(user, secret=secret, **claims))
        said = await socket.hear()
        assert said["type"] == "connection.ok", said
        socket.id, socket.ok = said["connection_id"], said
        yield socket


def masked(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    mask: bool = True,
    rsv: int = 0,
    size: int | None = None,
) -> bytes:
    """One frame as a client sends it, or as none should."""
    head = bytes([(0x80 if fin else 0) | rsv | opcode])
    count = len(payload) if size is None else size
    bit = 0x80 if mask else 0
    if count < 126:
        head += bytes([bit | count])
    elif count < 1 << 16:
        head += bytes([bit | 126]) + count.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + count.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


# What no client should send, and the code with which it is closed.
BAD = {
    "oversized": (masked(1, b"", size=70_000), 1009),
    "oversized by a lie": (masked(1, b"", size=2**63), 1009),
    "oversized in pieces": (masked(1, b"x" * 40_000, fin=False) + masked(0, b"x" * 40_000), 1009),
    "too many pieces": (masked(1, b"x", fin=False) + masked(0, b"", fin=False) * 100, 1008),
    "binary": (masked(2, b"{}"), 1003),
    "unmasked": (masked(1, b"{}", mask=False), 1002),
    "compressed": (masked(1, b"{}", rsv=0x40), 1002),
    "unknown opcode": (masked(3), 1002),
    "unknown control": (masked(11), 1002),
    "a split ping": (masked(9, b"", fin=False), 1002),
    "a long ping": (masked(9, b"x" * 126), 1002),
    "a piece of nothing": (masked(0, b"x"), 1002),
    "a message inside another": (masked(1, b"x", fin=False) + masked(1, b"x"), 1002),
    "no text": (masked(1, b"\xff\xfe"), 1007),
    "half a character at the end": (masked(1, "é".encode()[:1]), 1007),
    "a flood of pings": (masked(9) * 200, 1008),
    "a flood of text": (masked(1, b"[]") * 200, 1008),
    "a flood of pongs": (masked(10) * 200, 1008),
}


class RawSocket:
    """A TCP connection after the handshake: frames in and out as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, *frames: bytes) -> None:
        self.writer.write(b"".join(frames))

    async def frame(self, within_s: float = 30.0) -> tuple[int, bytes] | None:
        """(opcode, payload) of the next frame; None at the end."""
        try:
            async with asyncio.timeout(within_s):
                first, size = await self.reader.readexactly(2)
                if size == 126:
                    size = int.from_bytes(await self.reader.readexactly(2), "big")
                elif size == 127:
                    size = int.from_bytes(await self.reader.readexactly(8), "big")
                return first & 0x0F, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def closed(self) -> int | None:
        """The code with which the other side closes, whatever it says before; None: without."""
        while (frame := await self.frame()) is not None:
            if frame[0] == 8:
                return int.from_bytes(frame[1][:2], "big")
        return None

    def hello(self, user: str = "alice") -> None:
        said = {"token": token(user), "user_details": {"id": user}}
        self.send(masked(1, json.dumps(said).encode()))


@asynccontextmanager
async def raw_socket(
    gateway: RunningGateway,
    path: str = f"/video/connect?api_key={KEY}",
    behind: bytes = b"",
    limit: int = 1 << 16,
) -> AsyncIterator[RawSocket]:
    """`behind`: bytes that follow the request at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, limit=limit)
    nonce = b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n".encode()
        + behind
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()
