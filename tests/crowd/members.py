"""Members of a crowd: watchers of the plain feed that cost a test next to nothing."""

import asyncio
import os
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import orjson
from support import jwts
from support.eventually import eventually
from support.running_gateway import RunningGateway

KEY, SECRET = "demo-key", "demo-secret"
CALL = "default:numbers"
_HEADS = {126: 4, 127: 10}


def token(user: str) -> str:
    now = int(time.time())
    return jwts.encode({"user_id": user, "iat": now - 5, "exp": now + 600}, SECRET, "HS256")


class Member(asyncio.Protocol):
    """One connection. `numbers`: of the events that came; `code`: with which it was closed."""

    def __init__(self, user: str, *, since: str | None = None, reads: bool = True) -> None:
        self.user, self.since, self.reads = user, since, reads
        self.status: int | None = None  # of the answer to the upgrade
        self.first: Any = None
        self.cursor: str | None = None
        self.code: int | None = None
        self.ended_at: float | None = None
        self.numbers: list[int] = []
        self.transport: asyncio.Transport
        self.settled = asyncio.Event()  # it watches, or will not
        self.ended = asyncio.Event()
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none

        since = f"&since={self.since}" if self.since else ""
        nonce = b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /feed?api_key={KEY}&call={CALL}{since} HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: {token(self.user)}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._held += data
        if self.status is None:
            head, end, rest = self._held.partition(b"\r\n\r\n")
            if not end:
                return
            self.status, self._held = int(head.split()[1]), rest
        if self.status == 101:
            self._read_frames()
        else:
            self.transport.close()

    def _read_frames(self) -> None:
        held, at = self._held, 0
        while len(held) >= at + 2:
            size, head = held[at + 1], _HEADS.get(held[at + 1], 2)
            if len(held) < at + head:
                break
            if head > 2:
                size = int.from_bytes(held[at + 2 : at + head], "big")
            end = at + head + size
            if len(held) < end:
                break
            self._take(held[at] & 0x0F, held[at + head : end])
            at = end
        self._held = held[at:]

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == 8:
            self.code, self.ended_at = int.from_bytes(payload[:2], "big"), time.monotonic()
            self.transport.close()
        elif opcode == 9:
            self.transport.write(b"\x8a\x80" + bytes(4))  # a pong: who does not answer is let go
        elif opcode == 1:
            said = orjson.loads(payload)
            self.cursor = said.get("cursor") or self.cursor
            if "event" in said:
                self.numbers.append(said["event"]["custom"]["n"])
            elif said["type"] == "watching":
                self.first = said
                self.settled.set()
                if not self.reads:
                    self.transport.pause_reading()
            elif said["type"] == "error":
                self.first = said
                self.settled.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended_at = self.ended_at or time.monotonic()
        self.settled.set()
        self.ended.set()

    @property
    def watches(self) -> bool:
        return self.first is not None and self.first["type"] == "watching"

    def has_come_to(self, number: int) -> bool:
        return bool(self.numbers) and self.numbers[-1] >= number

    async def has(self, count: int, within_s: float = 60) -> None:
        await eventually(lambda: len(self.numbers) >= count, within_s=within_s)


async def join(gateway: RunningGateway, user: str, **more: Any) -> Member:
    """A member that watches, or was refused: `watches` tells."""
    member = Member(user, **more)
    try:
        await asyncio.get_running_loop().create_connection(
            lambda: member, "127.0.0.1", gateway.port
        )
    except OSError:
        member.settled.set()
    else:
        async with asyncio.timeout(60):
            await member.settled.wait()
    return member


async def join_at_last(gateway: RunningGateway, user: str) -> Member:
    """As feed.js does: whoever is turned away comes again a little later."""
    while not (member := await join(gateway, user)).watches:
        await asyncio.sleep(random.uniform(0.5, 1.5))
    return member


@asynccontextmanager
async def crowd(gateway: RunningGateway, count: int, **more: Any) -> AsyncIterator[list[Member]]:
    """`count` members who watch."""
    members = [await join(gateway, f"user-{number}", **more) for number in range(count)]
    assert all(member.watches for member in members)
    try:
        yield members
    finally:
        for member in members:
            member.transport.abort()
