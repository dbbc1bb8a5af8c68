"""The peer: a webhook receiver on aiohttp and redis.asyncio, as their users would write it.

With everything that makes it fast and is in their documentation: uvloop, no access log, hiredis,
one client with a pool that is large enough, the C implementation of HMAC. It verifies, stores
with one XADD, and answers once Redis has. It neither deduplicates nor journals.

    python -m bench.peers.aiohttp_plain HOST PORT REDIS_URL SECRET PATH
"""

import hmac
import sys

import redis.asyncio as aioredis
import uvloop
from aiohttp import web

STREAM = "events"


def application(client: aioredis.Redis, secret: bytes, path: str) -> web.Application:
    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        expected = hmac.digest(secret, body, "sha256").hex()
        if not hmac.compare_digest(expected, request.headers.get("X-SIGNATURE", "")):
            return web.Response(status=401)
        await client.xadd(STREAM, {"body": body})
        return web.Response()

    app = web.Application()
    app.router.add_post(path, receive)
    return app


def main() -> None:
    host, port, url, secret, path = sys.argv[1:]
    # The default of 100 connections would answer 500 to the 101st concurrent request.
    client = aioredis.Redis.from_url(url, max_connections=1024)
    web.run_app(
        application(client, secret.encode(), path),
        host=host,
        port=int(port),
        access_log=None,
        loop=uvloop.new_event_loop(),
        print=None,
    )


if __name__ == "__main__":
    main()
