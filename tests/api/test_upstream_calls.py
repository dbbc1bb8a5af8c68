"""What goes through to a stand-in for Stream, and which calls are then watched."""

import asyncio
import contextlib
import gzip
import json
import time
from dataclasses import dataclass

import jwt
import pytest
from aiohttp import web
from support import jwts
from support.receiver import running_receiver, status
from support.stream_client import KEY, SECRET, stream_client, token
from support.stream_standin import running_stream
from yarl import URL

from gateway.api.upstream import Upstream, UpstreamFailed
from gateway.api.upstream_calls import Passage
from gateway.api.upstream_messages import ROOTS
from gateway.calls.errors import StreamError
from gateway.metrics import Metrics
from gateway.options import UpstreamOptions

PATH = "/video/call/default/room"
LIVE = "connection-1"


@dataclass(frozen=True)
class Named:
    app: str
    user: str
    call_cids: frozenset[str] | None = None


class Watches:
    """Stands where tokens and the feed are: checks tokens, and notes what is to be watched."""

    def __init__(self):
        self.noted = []

    def verify(self, api_key, credentials, now_s):
        try:
            claims = jwts.decode(credentials, SECRET, algorithms=["HS256"])
        except jwt.InvalidTokenError:
            raise UpstreamFailed(43, 401, "signature") from None
        return Named(api_key, claims["user_id"])

    async def watch(self, connection_id, caller, cids, asked_s, made_here):
        assert asked_s <= time.monotonic()
        assert not made_here
        if connection_id != LIVE:
            raise UpstreamFailed(46, 400, "connection")
        self.noted.append((caller.user, list(cids)))


@web.middleware
async def _answered(request, handler):
    try:
        return await handler(request)
    except StreamError as error:
        six = dict.fromkeys(("duration", "more_info", "details"), "")
        content = {"code": error.code, "StatusCode": error.status, "message": error.message, **six}
        return web.json_response(content, status=error.status)


@contextlib.asynccontextmanager
async def passage(url, **options):
    """A server with the routes alone; `body_timeout_s` and the upstream's own options."""
    watches = Watches()
    body_timeout_s = options.pop("body_timeout_s", 30)
    upstream = Upstream(UpstreamOptions(url=url, **options), Metrics())
    one = Passage(
        upstream,
        apps=[KEY],
        verify=watches.verify,
        watch=watches.watch,
        body_timeout_s=body_timeout_s,
    )
    app = web.Application(middlewares=[_answered])
    for root in ROOTS:
        call = root + "call/{type}/{id}"
        app.router.add_get(call, one.call)
        app.router.add_post(call, one.call)
        app.router.add_post(call + "/join", one.call)
        app.router.add_post(root + "calls", one.query)
        app.router.add_route("*", root + "{rest:.*}", one.through)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", watches
    finally:
        await runner.cleanup()
        await upstream.close()


@pytest.fixture
async def stream():
    async with running_stream({KEY: SECRET}) as stream:
        stream.create(KEY, "default:room", ["alice", "bob"])
        stream.create(KEY, "default:other", ["bob"])
        yield stream


@pytest.fixture
async def alice(stream):
    async with passage(stream.url) as (base, watches), stream_client(base, "alice") as client:
        client.connection_id, client.watches = LIVE, watches.noted
        yield client


async def test_get_is_streams_answer_and_a_watch(alice, stream):
    """Stream's own bytes come back, asked by the caller's credentials, without what is ours."""
    reply = await alice.ask("GET", PATH + "?members_limit=5", user_id="alice", watching=True)
    assert reply.status == 200
    assert reply.json["call"]["ingress"], "only Stream knows it"
    (asked,) = stream.requests
    assert asked.target == f"{PATH}?members_limit=5&api_key={KEY}&user_id=alice"
    assert asked.headers["authorization"] == alice.token
    assert alice.watches == [("alice", ["default:room"])]


async def test_get_or_create_and_join_watch(alice, stream):
    """The call is made at Stream, the media credentials are Stream's; both are watched."""
    path = "/video/call/default/new"
    made = await alice.ask("POST", path, {"data": {"custom": {"x": 1}}}, watching=True)
    assert (made.status, made.json["created"]) == (201, True)
    assert stream.calls[KEY, "default:new"].custom == {"x": 1}
    joined = await alice.ask("POST", PATH + "/join", {"location": "FRA"}, watching=True)
    assert joined.json["credentials"]["token"] == "media-token"
    assert alice.watches == [("alice", ["default:new"]), ("alice", ["default:room"])]


async def test_an_empty_get_or_create_passes(alice):
    """The SDK sends no body at all, with a content type of its HTTP library's choice."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await alice.ask("POST", PATH, headers=kind, watching=True)
    assert (reply.status, reply.json["created"]) == (201, False)


async def test_what_stream_refuses_is_not_watched(alice):
    """Stream's refusal comes back as it is."""
    refused = (
        ("GET", "/video/call/default/other", None, 17),
        ("GET", "/video/call/default/none", None, 16),
        ("POST", "/video/call/default/other", {}, 17),
        ("POST", "/video/call/default/none/join", {"location": "FRA"}, 16),
        ("POST", "/video/calls", b'{"watch":true', 4),
    )
    for method, path, body, code in refused:
        assert (await alice.ask(method, path, body, watching=True)).code == code
    assert alice.watches == []


async def test_query_watches_what_stream_has_found(alice, stream):
    """`watch` is cut from the body; watched is what the answer holds, not what was asked for."""
    body = (
        b'{ "watch":true, "filter_conditions": {"cid":{"$in":["default:room", "default:other"]}}}'
    )
    reply = await alice.ask("POST", "/video/calls", body, watching=True)
    assert (reply.status, len(reply.json["calls"])) == (201, 1)
    (asked,) = stream.requests
    assert asked.body == b'{"filter_conditions":{"cid":{"$in":["default:room", "default:other"]}}}'
    assert alice.watches == [("alice", ["default:room"])]
    nothing = {"watch": True, "filter_conditions": {"cid": {"$in": ["default:none"]}}}
    assert (await alice.ask("POST", "/video/calls", nothing, watching=True)).json["calls"] == []


async def test_query_without_watch_does_not_watch(alice, stream):
    """A connection_id alone does not watch there; the body goes on byte for byte."""
    body = b'{ "filter_conditions": {"cid":{"$in":["default:room"]}} }'
    assert (await alice.ask("POST", "/video/calls", body, watching=True)).status == 201
    assert stream.requests[0].body == body
    false = {"watch": False}
    assert (await alice.ask("POST", "/video/calls", false, watching=True)).status == 201
    assert alice.watches == []


async def test_watch_by_parameter(alice, stream):
    """`watch=true` needs a connection (code 4); `watch=false` reads and does not watch."""
    for method, path, body, query in (
        ("GET", PATH, None, {"watch": "true"}),
        ("POST", PATH + "/join", {}, {"watch": "true"}),
        ("POST", "/video/calls", {"watch": True}, {}),
    ):
        reply = await alice.ask(method, path, body, **query)
        assert (reply.status, reply.code) == (400, 4)
    assert stream.requests == []
    assert (await alice.ask("GET", PATH, watch="false", watching=True)).status == 200
    assert alice.watches == []
    assert (await alice.ask("GET", PATH, watch="true", watching=True)).status == 200
    assert alice.watches == [("alice", ["default:room"])]


async def test_a_connection_nobody_holds_is_code_46(alice):
    """Stream has answered, but the watch is not there: the caller is told."""
    alice.connection_id = "nobody"
    for method, path, body in (
        ("GET", PATH, None),
        ("POST", PATH + "/join", {"location": "FRA"}),
        ("POST", "/video/calls", {"watch": True}),
    ):
        assert (await alice.ask(method, path, body, watching=True)).code == 46


async def test_a_token_must_verify_here_before_a_watch(alice, stream):
    """It is our socket that would watch: Stream is not even asked. Else it judges alone."""
    alice.token = token("alice", "another")
    assert (await alice.ask("GET", PATH, watching=True)).code == 43
    assert (await alice.ask("POST", "/video/calls", {"watch": True}, watching=True)).code == 43
    assert stream.requests == []
    assert (await alice.ask("GET", PATH)).json["message"] == "signature is not valid"


async def test_a_custom_event_goes_to_stream(alice, stream):
    """SendCallEvent passes; its event comes back as a webhook, signed as Stream signs."""
    async with running_receiver() as gateway:
        stream.webhook_url = gateway.url
        reply = await alice.ask("POST", PATH + "/event", {"custom": {"x": 1}})
        assert reply.status == 201
        assert (await alice.ask("POST", PATH.replace("room", "other") + "/event", {})).code == 17
        await stream.quiet()
        (webhook,) = gateway.requests
    event = json.loads(webhook.body)
    assert (event["type"], event["custom"], event["user"]["id"]) == ("custom", {"x": 1}, "alice")


async def test_everything_else_passes(alice, stream):
    """What there is no answer of our own for is Stream's, with every method, compressed or not."""
    assert (await alice.ask("GET", "/video/edges")).json["edges"] == []
    assert (await alice.ask("PATCH", PATH, {"custom": {"y": 2}})).json["call"]["custom"] == {"y": 2}
    head = await alice.ask("HEAD", PATH)
    assert (head.status, head.body) == (200, b"")
    reply = await alice.ask("DELETE", "/video/unheard/of")
    assert (reply.status, reply.headers["X-RateLimit-Remaining"]) == (404, "59")
    assert not reply.headers.keys() & {"Set-Cookie", "Access-Control-Allow-Origin"}
    packed = await alice.ask("GET", "/api/v2" + PATH, headers={"Accept-Encoding": "gzip"})
    assert isinstance(json.loads(gzip.decompress(packed.body))["call"]["created_at"], int)
    guest = await alice.ask("POST", "/video/guest", {"user": {"id": "zoe"}})
    assert jwts.decode(guest.json["access_token"], SECRET, algorithms=["HS256"])
    assert alice.watches == []


async def test_a_watched_answer_is_readable_whatever_the_caller_takes(alice):
    """What we have to read comes plain, and the caller gets it plain."""
    taken = {"Accept-Encoding": "gzip", "If-None-Match": '"1"', "Range": "bytes=0-1"}
    reply = await alice.ask("GET", PATH, headers=taken, watching=True)
    assert reply.json["call"]["cid"] == "default:room"
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize("body", [b"", b"[]", b'{"call":{}}', b'{"calls":[{}]}', b"\xff\x1f\x8b"])
async def test_an_answer_without_a_call_is_a_502(body):
    """A success that names no call cannot be watched, and is not passed off as watched."""
    async with running_receiver(otherwise=status(200, body=body)) as stream:
        async with passage(f"http://127.0.0.1:{stream.port}") as (base, watches):
            async with stream_client(base, "alice") as alice:
                alice.connection_id = LIVE
                for method, path, sent in (
                    ("GET", PATH, None),
                    ("POST", "/video/calls", {"watch": True}),
                ):
                    reply = await alice.ask(method, path, sent, watching=True)
                    assert (reply.status, reply.code) == (502, -1)
                assert watches.noted == []


async def test_an_unknown_app_does_not_pass(alice, stream):
    """The gateway is a way to Stream for its own apps alone."""
    for path in ("/video/edges", PATH, "/video/calls"):
        for query in ("", "?api_key=", "?api_key=foreign"):
            url = URL(f"{alice.base}{path}{query}", encoded=True)
            async with alice.session.post(url) as response:
                assert (response.status, (await response.json())["code"]) == (401, 2)
    assert stream.requests == []


async def test_a_request_has_its_bounds(stream):
    """A body beyond 1 MiB is code 22, one that never ends is a 408; Stream hears of neither."""
    async with passage(stream.url) as (base, _), stream_client(base, "alice") as alice:
        reply = await alice.ask("PATCH", PATH, b"x" * (1 << 20) + b"x")
        assert (reply.status, reply.code) == (413, 22)
    async with passage(stream.url, body_timeout_s=0.2) as (base, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", URL(base).port)
        head = f"POST {PATH}?api_key={KEY} HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx"
        writer.write(head.encode())
        assert b" 408 " in await reader.readline()
        writer.close()
    assert stream.requests == []


async def test_sockets_do_not_pass(alice, stream):
    """An upgrade is refused: Stream would talk to nobody."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    reply = await alice.ask("GET", "/video/other", headers=upgrade)
    assert (reply.status, reply.code) == (400, 4)
    assert stream.requests == []


async def test_stream_hanging_is_told_and_heals(stream):
    async with passage(stream.url, timeout_s=2.5) as (base, watches):
        async with stream_client(base, "alice") as alice:
            alice.connection_id = LIVE
            async with stream.hanging():
                reply = await alice.ask("GET", PATH, watching=True)
                assert (reply.status, reply.code) == (504, 23)
                assert watches.noted == []
            assert (await alice.ask("GET", PATH, watching=True)).status == 200
