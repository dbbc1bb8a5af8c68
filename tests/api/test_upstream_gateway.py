"""The whole gateway in front of a stand-in for Stream's API, asked as the SDKs ask."""

import contextlib
import json

import aiohttp
import pytest
from multidict import CIMultiDict
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import KEY, SECRET, stream_client, token
from support.stream_standin import running_stream
from support.webhooks import signed_request

ROOM, OTHER = "default:room", "default:other"
PATH = "/video/call/default/room"


class Surroundings:
    """The gateway, the stand-in behind it, and clients."""

    def __init__(self, gateway, stream, stack):
        self.gateway, self.stream, self._stack = gateway, stream, stack
        self.base = f"http://127.0.0.1:{gateway.port}"
        self._sent = 0

    async def client(self, user, *, connected=False):
        client = await self._stack.enter_async_context(stream_client(self.base, user))
        return await client.connect() if connected else client

    async def webhook(self, cid):
        """Have Stream tell something about a call; return its number."""
        self._sent += 1
        body = json.dumps({"type": "custom", "call_cid": cid, "custom": {"n": self._sent}}).encode()
        async with aiohttp.ClientSession() as session:
            headers = signed_request(body, SECRET, KEY)
            async with session.post(self.gateway.url, data=body, headers=headers) as response:
                assert response.status == 200
        return self._sent

    async def watches(self, client, cid, *, not_=()):
        """Assert that `client` hears of `cid`, and of none in `not_`."""
        for other in not_:
            await self.webhook(other)
        number = await self.webhook(cid)
        event = await client.event()
        assert (event["call_cid"], event["custom"]) == (cid, {"n": number})


@contextlib.asynccontextmanager
async def both(folder, **upstream):
    async with contextlib.AsyncExitStack() as stack:
        stream = await stack.enter_async_context(running_stream({KEY: SECRET}))
        options = {"url": stream.url, **upstream}
        gateway = await stack.enter_async_context(running_gateway(folder, upstream=options))
        await gateway.up()
        stream.webhook_url = gateway.url
        stream.create(KEY, ROOM, ["alice", "bob"])
        stream.create(KEY, OTHER, ["bob"])
        yield Surroundings(gateway, stream, stack)


@pytest.fixture
async def around(tmp_path):
    async with both(tmp_path / "gateway") as one:
        yield one


async def test_get_goes_through_and_watches(around):
    """Stream answers with its own bytes, by the caller's credentials; then the call is watched."""
    alice = await around.client("alice", connected=True)
    reply = await alice.ask("GET", PATH + "?members_limit=5", user_id="alice", watching=True)
    assert reply.status == 200
    assert reply.json["call"]["ingress"], "only Stream knows it"
    (asked,) = around.stream.requests
    assert asked.target == f"{PATH}?members_limit=5&api_key={KEY}&user_id=alice"
    assert asked.headers["authorization"] == alice.token
    await around.watches(alice, ROOM, not_=[OTHER])


async def test_what_stream_refuses_is_not_watched(around):
    """A 403 or 404 of Stream's comes back as it is, and nothing is watched by it."""
    alice = await around.client("alice", connected=True)
    for path, code in (("/video/call/default/other", 17), ("/video/call/default/none", 16)):
        assert (await alice.ask("GET", path, watching=True)).code == code
    await alice.ask("GET", PATH, watching=True)
    await around.watches(alice, ROOM, not_=[OTHER, "default:none"])


async def test_get_or_create_and_join_watch(around):
    """The call is made, and media given, at Stream; both calls are watched at once."""
    alice = await around.client("alice", connected=True)
    made = await alice.ask("POST", "/video/call/default/new", {}, watching=True)
    assert (made.status, made.json["created"]) == (201, True)
    joined = await alice.ask("POST", PATH + "/join", {"location": "FRA"}, watching=True)
    assert joined.json["credentials"]["server"]["edge_name"] == "sfu-1"
    await around.watches(alice, ROOM, not_=[OTHER])
    await around.watches(alice, "default:new")


async def test_query_watches_what_stream_found(around):
    """`watch` is cut from the body; watched is what the answer holds, not what was asked for."""
    alice = await around.client("alice", connected=True)
    body = (
        b'{ "watch":true, "filter_conditions": {"cid": {"$in":["default:room", "default:other"]}} }'
    )
    reply = await alice.ask("POST", "/video/calls", body, watching=True)
    assert (reply.status, len(reply.json["calls"])) == (201, 1)
    (asked,) = around.stream.requests
    assert asked.body == b'{"filter_conditions":{"cid": {"$in":["default:room", "default:other"]}}}'
    await around.watches(alice, ROOM, not_=[OTHER])


async def test_a_token_for_other_calls_keeps_out_of_none(around):
    """Stream decides: what it shows is watched, whatever calls the token names."""
    bob = await around.client("bob", connected=True)
    bob.token = token("bob", call_cids=[OTHER])
    assert (await bob.ask("GET", PATH, watching=True)).status == 200
    await around.watches(bob, ROOM, not_=[OTHER])
    found = await bob.ask("POST", "/video/calls", {"watch": True}, watching=True)
    assert len(found.json["calls"]) == 2
    await around.watches(bob, OTHER)


async def test_a_connection_nobody_holds_is_code_46(around):
    """Stream has answered, but the watch is not there: the caller is told."""
    alice = await around.client("alice")
    alice.connection_id = "nobody"
    for method, path, body in (
        ("GET", PATH, None),
        ("POST", PATH, {}),
        ("POST", PATH + "/join", {"location": "FRA"}),
        ("POST", "/video/calls", {"watch": True}),
    ):
        assert (await alice.ask(method, path, body, watching=True)).code == 46


async def test_only_who_holds_the_connection_may_use_it(around):
    """Somebody else's connection is as good as none."""
    alice = await around.client("alice", connected=True)
    bob = await around.client("bob")
    bob.connection_id = alice.connection_id
    assert (await bob.ask("GET", "/video/call/default/other", watching=True)).code == 46


@pytest.mark.parametrize(
    ("secret", "claims", "code"),
    [("another", {}, 43), (SECRET, {"exp": 1}, 40)],
    ids=["signature", "expired"],
)
async def test_a_token_must_verify_here_before_a_watch(around, secret, claims, code):
    """It is our socket that would watch: Stream is not even asked."""
    alice = await around.client("alice", connected=True)
    alice.token = token("alice", secret, **claims)
    assert (await alice.ask("GET", PATH, watching=True)).code == code
    assert (await alice.ask("POST", "/video/calls", {"watch": True}, watching=True)).code == code
    assert around.stream.requests == []


async def test_a_custom_event_is_one_event(around):
    """SendCallEvent goes to Stream, whose webhook brings the event: once, to every watcher."""
    alice, bob = [await around.client(user, connected=True) for user in ("alice", "bob")]
    for client in (alice, bob):
        await client.ask("GET", PATH, watching=True)
    reply = await alice.ask("POST", PATH + "/event", {"custom": {"balloon": "red"}})
    assert reply.status == 201
    for client in (alice, bob):
        event = await client.event()
        assert (event["type"], event["custom"]) == ("custom", {"balloon": "red"})
        assert event["user"]["id"] == "alice"
    await around.watches(alice, ROOM)  # nothing else came in between
    await around.stream.quiet()  # an event may be here before the answer to its webhook
    assert around.stream.webhooks == [200]
    assert await around.gateway.metric("gateway_accepted_total") == 2


async def test_a_custom_event_that_stream_refuses_is_none(around):
    """Stream's refusal is the sender's answer, and nobody hears of it."""
    alice, bob = [await around.client(user, connected=True) for user in ("alice", "bob")]
    await bob.ask("GET", "/video/call/default/other", watching=True)
    path = "/video/call/default/other/event"
    assert (await alice.ask("POST", path, {"custom": {"x": 1}})).code == 17
    await around.watches(bob, OTHER)


async def test_custom_events_may_be_made_here(tmp_path):
    """With `custom_events: local` Stream is not asked, and the event is there without it."""
    async with both(tmp_path / "gateway", custom_events="local") as around:
        alice = await around.client("alice", connected=True)
        await alice.ask("GET", PATH, watching=True)
        asked = len(around.stream.requests)
        server = await around.client(None)
        body = {"custom": {"x": 1}, "user_id": "bob"}
        assert (await server.ask("POST", "/api/v2" + PATH + "/event", body)).status == 201
        event = await alice.event()
        assert (event["custom"], event["user"]["id"]) == ({"x": 1}, "bob")
        assert len(around.stream.requests) == asked
        assert around.stream.webhooks == []


async def test_guests_are_streams(around):
    """Stream makes the guest, whom it has to know for a join; the token is good here too."""
    nobody = await around.client("nobody")
    reply = await nobody.ask("POST", "/video/guest", {"user": {"id": "zoe", "type": "guest"}})
    assert reply.status == 201
    guest = await around.client(reply.json["user"]["id"])
    guest.token = reply.json["access_token"]
    await guest.connect()
    reply = await guest.ask("POST", "/video/call/default/lobby", {}, watching=True)
    assert reply.status == 201
    await around.watches(guest, "default:lobby")


async def test_an_unknown_app_is_refused_here(around):
    """The gateway is a way to Stream for its own apps alone."""
    stranger = await around.client("alice")
    for method, path in (("GET", "/video/edges"), ("GET", PATH), ("POST", "/video/calls")):
        url = f"{around.base}{path}?api_key=foreign"
        async with stranger.session.request(method, url) as response:
            assert (response.status, json.loads(await response.read())["code"]) == (401, 2)
    assert around.stream.requests == []


async def test_a_browser_gets_cors_of_ours_alone(around):
    """A preflight is answered here; an answer of Stream's carries our CORS header, once."""
    alice = await around.client("alice")
    url = f"{around.base}/video/edges?api_key={KEY}"
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "GET"}
    async with alice.session.options(url, headers=asked) as response:
        assert response.status in {200, 204}
        assert response.headers["Access-Control-Allow-Origin"] in {"*", "https://app.example.com"}
    assert around.stream.requests == []
    reply = await alice.ask("GET", "/video/edges", headers={"Origin": "https://app.example.com"})
    (allowed,) = reply.headers.getall("Access-Control-Allow-Origin")
    assert allowed in {"*", "https://app.example.com"}


async def test_sockets_are_not_passed_on(around):
    """Upgrades end here: /video/connect is ours, any other is refused."""
    alice = await around.client("alice")
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await alice.session.ws_connect(f"{around.base}/video/other?api_key={KEY}")
    assert refused.value.status == 400
    assert around.stream.requests == []


async def test_stream_away_is_told_and_heals(tmp_path):
    """While Stream does not answer, watching goes on, and what needs Stream says so."""
    async with both(tmp_path / "gateway", timeout="2500ms") as around:
        alice = await around.client("alice", connected=True)
        await alice.ask("GET", PATH, watching=True)
        async with around.stream.hanging():
            reply = await alice.ask("GET", PATH, watching=True)
            assert (reply.status, reply.code) == (504, 23)
            await around.watches(alice, ROOM)
        assert (await alice.ask("GET", PATH, watching=True)).status == 200


async def test_nothing_of_a_request_is_logged(around):
    """Tokens, queries and bodies of what goes through are in no log line."""
    alice = await around.client("alice", connected=True)
    await alice.ask("POST", PATH, {"data": {"custom": {"x": "hush-hush"}}}, watching=True)
    await alice.ask("GET", PATH, watch="true")
    await eventually(lambda: around.stream.requests)
    for told in (alice.token, "hush-hush", alice.connection_id):
        assert told not in around.gateway.log_text


async def test_nothing_goes_on_that_could_be_read_otherwise(around):
    """Another app, another user or another place than the ones judged here; Stream hears of none."""
    alice = await around.client("alice", connected=True)
    for path, more in (
        (PATH + "?api_key=evil", {}),
        (PATH + "?authorization=other", {}),
        (PATH, {"X-Api-Key": "evil", "stream-auth-type": "jwt"}),
        ("/video/..;/x", {}),
        ("/video/%252e%252e/x", {}),
    ):
        await alice.ask("GET", path, watching=True, headers=more)
    two = CIMultiDict([("Authorization", alice.token), ("Authorization", "other")])
    url = f"{around.base}{PATH}?api_key={KEY}&connection_id={alice.connection_id}"
    async with alice.session.get(url, headers=two) as response:
        assert response.status == 400
    (asked,) = around.stream.requests  # without what names another app
    assert "x-api-key" not in {name.lower() for name in asked.headers}
    assert (await alice.ask("TRACE", "/video/edges")).status == 405
    for method in ("PROPFIND", "TRACK"):  # some are no methods to the parser
        assert (await alice.ask(method, "/video/edges")).status in (400, 405)
    assert len(around.stream.requests) == 1
