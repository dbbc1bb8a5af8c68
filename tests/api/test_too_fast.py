"""Who asks too often: every road on which a user asks for something."""

import aiohttp
import pytest
from support.feed import feeding_gateway
from support.jwts import encode
from support.stream_client import stream_client

CALL = "/video/call/default/room"


@pytest.fixture
async def bounded(tmp_path):
    feed = {
        "demo": True,
        "guests_per_s": 1,
        "guests_burst": 1,
        "user_requests_per_s": 1,
        "user_requests_burst": 2,
    }
    async with feeding_gateway(tmp_path / "g", {"feed": feed}) as gateway:
        yield gateway


async def until_refused(ask, most=10_000):
    """Ask until it is refused; return the answer."""
    for _ in range(most):
        if (reply := await ask()).status == 429:
            return reply
    raise AssertionError("it was never refused")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", CALL, None),
        ("POST", CALL, {}),
        ("POST", CALL + "/join", {"create": True}),
        ("POST", CALL + "/event", {"custom": {}}),
        ("POST", "/video/calls", {}),
    ],
)
async def test_a_user_who_asks_too_often(bounded, method, path, body):
    """He hears 429, code 9 and when to come again; others, and servers, are not concerned."""
    base = f"http://127.0.0.1:{bounded.port}"
    async with stream_client(base, "ann") as ann, stream_client(base, None) as server:
        reply = await until_refused(lambda: ann.ask(method, path, body))
        assert reply.code == 9
        assert int(reply.headers["Retry-After"]) >= 1
        assert await bounded.metric('gateway_too_fast_total{bound="requests"}') >= 1
        for _ in range(20):
            said = {**(body or {}), "user_id": "ben"}
            if "call/" in path and not path.endswith("/event"):
                said = {"data": {"created_by_id": "ben"}}
            answer = await server.ask(method, path, None if body is None else said)
            assert answer.status in (200, 201, 404), answer.body


async def test_a_watcher_who_asks_too_often(bounded):
    """What he watches goes on; what he asks for is refused with its calls, until it is not."""
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"ws://127.0.0.1:{bounded.port}/feed") as socket:
            token = encode({"user_id": "ann"}, "demo-secret", algorithm="HS256")
            first = {"type": "watch", "api_key": "demo-key", "calls": ["default:room"]}
            await socket.send_json({**first, "token": token})
            assert (await socket.receive_json(timeout=60))["type"] == "watching"
            refused = None
            while refused is None:
                await socket.send_json({"type": "watch", "calls": ["default:other"]})
                said = await socket.receive_json(timeout=60)
                refused = said if said["type"] == "error" else None
            assert (refused["code"], refused["calls"]) == (9, ["default:other"])
            await socket.send_json({"type": "ping"})
            assert (await socket.receive_json(timeout=60))["type"] == "pong"


async def test_too_many_guests_of_the_demo(bounded):
    """The page hears 429 and when to come again."""
    async with aiohttp.ClientSession() as session:

        async def ask():
            async with session.post(f"http://127.0.0.1:{bounded.port}/demo/token") as response:
                await response.read()
                return response

        refused = await until_refused(ask)
        assert int(refused.headers["Retry-After"]) >= 1
        assert await bounded.metric('gateway_too_fast_total{bound="guests"}') >= 1
