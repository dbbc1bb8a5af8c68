"""Who comes without a token, and what the tokens that he is given are good for: in the gateway."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import jwt
import pytest
import yaml
from support import jwts
from support.configs import SHIPPED
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import stream_client
from support.webhooks import signed_request

SECRET = "a-secret-of-streams-for-this-app"
CID, PATH = "default:room", "/video/call/default/room"
OWN = {"api_key": "mine", "secrets": [SECRET]}
DEMO = {"api_key": "demo-key", "secrets": ["demo-secret"]}


@asynccontextmanager
async def running(folder, **config):
    async with running_gateway(folder / "g", server={"drain": "1s"}, **config) as gateway:
        await gateway.up()
        yield gateway


async def post(gateway, path, body=None, **headers):
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{gateway.port}{path}"
        async with session.post(url, data=body, headers=headers) as response:
            content = await response.read()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(content) if is_json else None


async def guest(gateway, key="mine"):
    status, said = await post(gateway, f"/video/guest?api_key={key}", b'{"user":{"id":"zoe"}}')
    assert status == 201
    return said["access_token"]


def is_streams(token, secret=SECRET):
    """Whether Stream, which knows the app's secret, would take it."""
    try:
        jwts.decode(token, secret, algorithms=["HS256"])
    except jwt.InvalidSignatureError:
        return False
    return True


def watches(said):
    """Whether what the plain feed says is that the call is watched."""
    return said["type"] == "watching" and CID in said["calls"]


async def watch(gateway, token, key="mine"):
    """What the plain feed says first."""
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{gateway.port}/feed") as socket:
            first = {"type": "watch", "token": token, "api_key": key, "calls": [CID]}
            await socket.send_json(first)
            return await socket.receive_json(timeout=30)


@pytest.mark.parametrize("access", [None, "any"])
async def test_the_shipped_file_with_another_app(tmp_path, access):
    """With key, secret and host changed, and nothing else, a stranger gets nothing.

    So too where an older file of ours said `access: any`.
    """
    config = yaml.safe_load(SHIPPED.read_text())
    feed = {**config["feed"], **({"access": access} if access else {})}
    async with running(tmp_path, apps=[OWN], feed=feed) as gateway:
        for path in ("/demo/token", "/demo/token?api_key=mine"):
            assert (await post(gateway, path))[0] == 404
        status, said = await post(gateway, "/video/guest?api_key=mine", b'{"user":{"id":"x"}}')
        assert (status, said["code"]) == (403, 17)
        token = jwts.encode({"user_id": "eve"}, "demo-secret", algorithm="HS256")
        assert (await watch(gateway, token))["code"] == 43
        token = jwts.encode({"user_id": "eve"}, SECRET, algorithm="HS256")
        assert not watches(await watch(gateway, token))


async def test_the_demo_serves_the_demo_key_alone(tmp_path):
    """Beside another app too: its guests watch every call of the demo, and none of the app."""
    async with running(tmp_path, apps=[OWN, DEMO], feed={"demo": True}) as gateway:
        status, said = await post(gateway, "/demo/token")
        assert (status, said["api_key"]) == (201, "demo-key")
        assert said["user"]["id"].startswith("guest-")
        assert watches(await watch(gateway, said["token"], "demo-key"))
        assert (await watch(gateway, said["token"]))["code"] == 43
        token = jwts.encode({"user_id": "eve"}, SECRET, algorithm="HS256")
        assert not watches(await watch(gateway, token))
        assert (await post(gateway, "/video/guest?api_key=demo-key", b"{}"))[1]["code"] == 17


async def test_no_demo_before_streams_api(tmp_path):
    """Guests are Stream's to make there."""
    upstream = {"url": "http://127.0.0.1:9"}
    async with running(tmp_path, apps=[DEMO], feed={"demo": True}, upstream=upstream) as gateway:
        assert (await post(gateway, "/demo/token"))[0] == 404


async def test_a_guests_token_is_good_here_alone(tmp_path):
    """The API, both kinds of sockets and tickets take it; Stream would not."""
    feed = {"guests": True, "access": "any"}
    async with running(tmp_path, apps=[OWN], feed=feed) as gateway:
        token = await guest(gateway)
        assert not is_streams(token)
        assert watches(await watch(gateway, token))
        status, _ = await post(
            gateway, f"{PATH}/event?api_key=mine", b'{"custom":{"n":1}}', Authorization=token
        )
        assert status == 201
        status, said = await post(gateway, "/feed/tickets?api_key=mine", Authorization=token)
        assert status == 201
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{gateway.port}"
            where = f"{base}/feed?ticket={said['ticket']}&call={CID}"
            async with session.ws_connect(where) as socket:
                assert (await socket.receive_json(timeout=30))["type"] == "watching"
            async with session.ws_connect(f"{base}/video/connect?api_key=mine") as socket:
                await socket.send_json({"token": token})
                said = await socket.receive_json(timeout=30)
                assert (said["type"], said["me"]["role"]) == ("connection.ok", "guest")


async def test_guests_see_what_names_them(tmp_path):
    """Where members watch, a guest watches what names it, whatever role or calls it is said to have."""
    async with running(tmp_path, apps=[OWN], feed={"guests": True}) as gateway:
        token = await guest(gateway)
        assert not watches(await watch(gateway, token))
        user_id = jwts.decode(token, options={"verify_signature": False})["user_id"]
        body = json.dumps(
            {
                "type": "call.member_added",
                "call_cid": CID,
                "members": [{"user_id": user_id}],
                "call": {"cid": CID, "created_by": {"id": "anna"}},
            }
        ).encode()
        assert (
            await post(gateway, "/webhooks/stream", body, **signed_request(body, SECRET, "mine"))
        )[0] == 200

        async def may_watch():
            return watches(await watch(gateway, token))

        await eventually(may_watch)


async def test_guests_outlive_a_rotation_and_end_when_switched_off(tmp_path):
    """A token is good while the secret of its key is live, and while there are guests."""
    feed = {"guests": True, "access": "any"}
    async with running(tmp_path, apps=[OWN], feed=feed) as gateway:
        token = await guest(gateway)
        for secrets, guests, expected in (
            (["another-secret", SECRET], True, True),
            (["another-secret"], True, False),
            ([SECRET], False, False),
            ([SECRET], True, True),
        ):
            await gateway.stop()
            gateway.config["apps"] = [{"api_key": "mine", "secrets": secrets}]
            gateway.config["feed"] = {**feed, "guests": guests}
            await gateway.start()
            await gateway.up()
            assert watches(await watch(gateway, token)) is expected


def _nested(depth):
    part = jwts.encode({"user_id": "eve"}, "x", algorithm="HS256").split(".")
    header = b'{"alg":"HS256","x":' + b"[" * depth + b"]" * depth + b"}"
    part[0] = jwt.utils.base64url_encode(header).decode()
    return ".".join(part)


@pytest.mark.parametrize("depth", [2000, 2500, 2900])
async def test_a_token_that_nests_deep_is_refused(tmp_path, depth):
    """Wherever it is brought: 401 or a refusal, never our fault, and not a traceback."""
    token = _nested(depth)
    async with running(tmp_path, apps=[OWN]) as gateway:
        for path in (f"{PATH}/event", "/video/calls", "/feed/tickets", PATH):
            status, said = await post(gateway, f"{path}?api_key=mine", b"{}", Authorization=token)
            assert (status, said["code"]) == (401, 5)
        assert (await watch(gateway, token))["code"] == 5
        async with stream_client(f"http://127.0.0.1:{gateway.port}", "eve") as eve:
            async with eve.session.ws_connect(f"{eve.base}/video/connect?api_key=mine") as socket:
                await socket.send_json({"token": token})
                said = await socket.receive_json(timeout=30)
                assert (said["type"], said["error"]["code"]) == ("connection.error", 5)
            for path in ("/feed", PATH):
                url = f"{eve.base}{path}?api_key=mine&call={CID}"
                async with eve.session.get(url, headers={"Authorization": token}) as response:
                    assert response.status == 401
        assert '"ERROR"' not in gateway.log_text


async def test_no_answer_says_what_gives_it(tmp_path):
    """Neither name nor version of what is inside, whatever is asked on either listener."""
    async with running(tmp_path, apps=[OWN], feed={"guests": True}) as gateway:
        async with aiohttp.ClientSession() as session:
            for port, path in (
                *((gateway.port, path) for path in PUBLIC),
                *((gateway.admin_port, path) for path in ("/metrics", "/healthz", "/readyz", "/x")),
            ):
                async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                    assert "Server" not in response.headers, path
            async with session.ws_connect(f"http://127.0.0.1:{gateway.port}/feed") as socket:
                assert "Server" not in socket._response.headers
        for odd in (b"GET / HTTP/1.1\r\n\x00: x\r\n\r\n", b"nonsense\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(odd)
            writer.write_eof()
            assert b"server:" not in (await reader.read()).lower()
            writer.close()


PUBLIC = (
    "/",
    "/healthz",
    "/readyz",
    "/feed",
    "/feed?call=a:b&api_key=mine",
    "/feed.js",
    "/demo",
    "/webhooks/stream",
    PATH,
    "/video/connect",
    "/video/guest",
    "/api/v2" + PATH,
)
