"""The peer: events from a stream to HTTP receivers by redis.asyncio and aiohttp's ClientSession.

With what makes it fast: uvloop, hiredis, reads in batches, one keep-alive session, as many requests
under way as the gateway may have, acknowledgements in batches while the next requests are under
way. What the event needs (signature, id) lies beside it in the stream. It has no retries, no dead
letters, no counts and no leases.

    python -m bench.peers.deliver_aiohttp REDIS_URL CONCURRENCY URL [URL ...]
"""

import asyncio
import sys
from typing import Any

import aiohttp
import redis.asyncio as aioredis
import uvloop

STREAM = "events"
BATCH = 256


class Group:
    """One receiver: a consumer group, a queue, and runners."""

    def __init__(self, client: aioredis.Redis, number: int, url: str, concurrency: int) -> None:
        self.client, self.name, self.url = client, f"group-{number}", url
        self.concurrency = concurrency
        self.queue: asyncio.Queue[tuple[bytes, dict[bytes, bytes]]] = asyncio.Queue(2 * BATCH)
        self.done: list[bytes] = []
        self.some_done = asyncio.Event()

    async def read(self) -> None:
        while True:
            found: Any = await self.client.xreadgroup(
                self.name, "c", {STREAM: ">"}, count=BATCH, block=1000
            )
            for _, entries in found or ():
                for entry in entries:
                    await self.queue.put(entry)

    async def send(self, session: aiohttp.ClientSession) -> None:
        while True:
            entry, fields = await self.queue.get()
            headers = {
                "Content-Type": "application/json",
                "X-SIGNATURE": fields[b"signature"].decode(),
                "X-WEBHOOK-ID": fields[b"id"].decode(),
                "X-WEBHOOK-ATTEMPT": "1",
                "X-API-KEY": fields[b"app"].decode(),
            }
            async with session.post(self.url, data=fields[b"body"], headers=headers) as answer:
                await answer.read()
                if answer.ok:
                    self.done.append(entry)
                    self.some_done.set()

    async def acknowledge(self) -> None:
        while True:
            await self.some_done.wait()
            self.some_done.clear()
            done, self.done = self.done, []
            await self.client.xack(STREAM, self.name, *done)

    async def run(self) -> None:
        connector = aiohttp.TCPConnector(limit=self.concurrency)
        async with aiohttp.ClientSession(connector=connector) as session:
            senders = (self.send(session) for _ in range(self.concurrency))
            await asyncio.gather(self.read(), self.acknowledge(), *senders)


async def main() -> None:
    url, concurrency, *urls = sys.argv[1:]
    client = aioredis.Redis.from_url(url, protocol=2, socket_timeout=None)
    groups = [Group(client, n, url, int(concurrency)) for n, url in enumerate(urls)]
    await asyncio.gather(*(group.run() for group in groups))


if __name__ == "__main__":
    uvloop.run(main())
