"""The peer: a webhook receiver on FastAPI, uvicorn and redis.asyncio, as their users write it.

With what makes it fast and is in their documentation: uvloop, httptools, no access log, hiredis, a
pool that is large enough, the body read as it is instead of into a model. It verifies, stores
with one XADD, and answers once Redis has. It neither deduplicates nor journals.

    python -m bench.peers.fastapi_plain HOST PORT REDIS_URL SECRET PATH
"""

import hmac
import sys

import redis.asyncio as aioredis
import uvicorn
from fastapi import FastAPI, Request, Response

STREAM = "events"


def application(client: aioredis.Redis, secret: bytes, path: str) -> FastAPI:
    app = FastAPI(openapi_url=None)

    @app.post(path)
    async def receive(request: Request) -> Response:
        body = await request.body()
        expected = hmac.digest(secret, body, "sha256").hex()
        if not hmac.compare_digest(expected, request.headers.get("X-SIGNATURE", "")):
            return Response(status_code=401)
        await client.xadd(STREAM, {"body": body})
        return Response()

    return app


def main() -> None:
    host, port, url, secret, path = sys.argv[1:]
    # The default of 100 connections would answer 500 to the 101st concurrent request.
    client = aioredis.Redis.from_url(url, max_connections=1024)
    uvicorn.run(
        application(client, secret.encode(), path),
        host=host,
        port=int(port),
        loop="uvloop",
        http="httptools",
        access_log=False,
        timeout_keep_alive=75,  # in an open loop a connection may have nothing to do for a while
        log_level="warning",
    )


if __name__ == "__main__":
    main()
