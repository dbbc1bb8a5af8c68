"""The peer: aiohttp's own WebSockets, and a loop of `send_str` over the watchers of a call.

As its users would write it, on uvloop, without compression or access log.

    python -m bench.peers.feed_aiohttp HOST PORT
"""

import sys
from collections import defaultdict

import uvloop
from aiohttp import web


def application() -> web.Application:
    watchers: dict[str, set[web.WebSocketResponse]] = defaultdict(set)

    async def watch(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        own = watchers[request.query["call"]]
        own.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            own.discard(socket)
        return socket

    async def publish(request: web.Request) -> web.Response:
        text = await request.text()
        for socket in tuple(watchers[request.query["call"]]):
            await socket.send_str(text)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_get("/feed", watch)
    app.router.add_post("/publish", publish)
    return app


def main() -> None:
    host, port = sys.argv[1:]
    web.run_app(
        application(),
        host=host,
        port=int(port),
        access_log=None,
        loop=uvloop.new_event_loop(),
        backlog=1024,
        print=None,
    )


if __name__ == "__main__":
    main()
