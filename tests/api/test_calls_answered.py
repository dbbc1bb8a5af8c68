"""Stream's client API as the gateway answers it by itself, asked as the SDKs ask."""

import asyncio
import json

import aiohttp
import pytest
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import KEY, SECRET, stream_client, token
from support.webhooks import signed_request

CID, PATH, V2 = "default:room", "/video/call/default/room", "/api/v2/video/call/default/room"


@pytest.fixture
async def gateway(tmp_path):
    settings = {"server": {"drain": "1s"}, "feed": {"guests": True}}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()
        yield gateway


@pytest.fixture
async def clients(gateway):
    """Makes clients of that gateway; `connected` ones hold a socket."""
    base, opened = f"http://127.0.0.1:{gateway.port}", []

    async def make(user, *, connected=False):
        context = stream_client(base, user)
        client = await context.__aenter__()
        opened.append(context)
        return await client.connect() if connected else client

    yield make
    for context in opened:
        await context.__aexit__(None, None, None)


async def webhook(gateway, body, secret=SECRET, key=KEY):
    content = json.dumps(body).encode()
    async with aiohttp.ClientSession() as session:
        headers = signed_request(content, secret, key)
        async with session.post(gateway.url, data=content, headers=headers) as response:
            assert response.status == 200


async def hears(client, cid=CID):
    """Of a call that is made here: by an event that is made here."""
    async with stream_client(client.base, None) as server:
        said = {"custom": {"cid": cid}, "user_id": "server"}
        path = f"/video/call/{cid.replace(':', '/')}/event"
        assert (await server.ask("POST", path, said)).status == 201
    event = await client.event()
    assert event["call_cid"] == cid
    return True


async def test_a_call_from_a_webhook_is_known(gateway, clients):
    """Stream's `call` is what Get shows; its members may see it, others may not, nobody knows more."""
    created = {
        "type": "call.created",
        "created_at": "2026-11-20T10:00:00Z",
        "call_cid": CID,
        "call": {
            "cid": CID,
            "type": "default",
            "id": "room",
            "custom": {"topic": "x"},
            "created_at": "2026-11-20T10:00:00Z",
            "created_by": {"id": "anna"},
        },
        "members": [{"user_id": "ben", "created_at": "2026-11-20T10:00:00Z"}],
    }
    await webhook(gateway, created)
    ben, kim, app = [await clients(name) for name in ("ben", "kim", None)]
    await eventually(lambda: _status(ben, 200))
    for asked in (ben, app, await clients("anna")):
        answer = await asked.ask("GET", PATH)
        assert answer.json["call"]["custom"] == {"topic": "x"}
        assert [member["user_id"] for member in answer.json["members"]] == ["ben"]
    assert (await ben.ask("GET", PATH)).json["membership"]["user_id"] == "ben"
    assert (await kim.ask("GET", PATH)).code == 17
    assert (await app.ask("GET", "/video/call/default/never")).code == 16


async def test_that_a_call_exists_is_told_to_nobody_else(clients):
    """One that does not name the user answers as one that does not exist, but for its name."""
    anna, kim = await clients("anna"), await clients("kim")
    await anna.ask("POST", PATH, {})
    unknown = PATH.replace("room", "moor")
    for method, rest, body in (
        ("GET", "", None),
        ("POST", "/join", {"location": "FRA"}),
        ("POST", "/event", {}),
    ):
        theirs = await kim.ask(method, PATH + rest, body)
        none = await kim.ask(method, unknown + rest, body)
        assert theirs.code == 17
        assert theirs.status == none.status
        assert theirs.body.replace(b"room", b"moor") == none.body


async def _status(client, status):
    return (await client.ask("GET", PATH)).status == status


async def test_times_as_each_sdk_reads_them(clients):
    """RFC 3339 below /video, nanoseconds below /api/v2, and the same moment."""
    anna = await clients("anna")
    made = await anna.ask("POST", PATH, {"data": {"custom": {"made_at": "2026"}}})
    assert (made.status, made.json["created"]) == (201, True)
    text = made.json["call"]["created_at"]
    again = await anna.ask("POST", V2)
    assert (again.status, again.json["created"]) == (201, False)
    number = again.json["call"]["created_at"]
    assert isinstance(number, int)
    assert text.endswith(f"{number % 10**9:09d}Z")
    assert again.json["call"]["created_by"]["created_at"] == number
    assert again.json["call"]["custom"] == {"made_at": "2026"}


WATCHING = [
    ("GET", PATH, None, 200),
    ("POST", PATH, {}, 201),
    ("POST", PATH + "/join", {"location": "FRA"}, 201),
    ("POST", "/video/calls", {"watch": True, "filter_conditions": {"cid": CID}}, 201),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), WATCHING)
async def test_each_way_to_watch(gateway, clients, method, path, body, status):
    """With a connection it watches before it answers; with an unknown one it is code 46."""
    anna = await clients("anna", connected=True)
    await anna.ask("POST", PATH, {})
    answer = await anna.ask(method, path, body, watching=True)
    assert answer.status == status, answer.body
    await hears(anna)
    known, anna.connection_id = anna.connection_id, "nobody"
    assert (await anna.ask(method, path, body, watching=True)).code == 46
    anna.connection_id = known.rpartition("-")[0] + "-" + "0" * 32
    assert (await anna.ask(method, path, body, watching=True)).code == 46


async def test_watch_by_the_query(gateway, clients):
    """`watch=true` needs a connection (code 4), `watch=false` does not watch although one is named."""
    anna = await clients("anna", connected=True)
    await anna.ask("POST", PATH, {})
    for path, body in ((PATH, None), (PATH + "/join", {})):
        method = "GET" if body is None else "POST"
        assert (await anna.ask(method, path, body, watch="true")).code == 4
        assert (await anna.ask(method, path, body, watching=True, watch="false")).status < 300
    assert (await anna.ask("POST", "/video/calls", {"watch": True})).code == 4
    await anna.ask("POST", "/video/call/default/other", {}, watching=True)
    await webhook(gateway, {"type": "custom", "call_cid": CID, "custom": {}})
    await hears(anna, "default:other")


async def test_anothers_connection_is_not_given_away(clients):
    """A connection watches what its own user asks for: named by another it is code 46."""
    anna, ben = await clients("anna", connected=True), await clients("ben")
    await ben.ask("POST", PATH, {})
    ben.connection_id = anna.connection_id
    assert (await ben.ask("GET", PATH, watching=True)).code == 46


async def test_a_join_has_no_media(clients):
    """All that an SDK looks for, and empty credentials; without `create` none is made."""
    anna, app = await clients("anna"), await clients(None)
    assert (await anna.ask("POST", PATH + "/join", {"location": "FRA"})).code == 17
    assert (await app.ask("POST", PATH + "/join", {"location": "FRA"})).code == 16
    joined = await anna.ask("POST", PATH + "/join", {"location": "FRA", "create": True})
    assert (joined.status, joined.json["created"]) == (201, True)
    assert joined.json["credentials"]["server"]["ws_endpoint"] == ""
    assert joined.json["credentials"]["ice_servers"] == []
    assert not {"send-audio", "send-video"} & set(joined.json["own_capabilities"])


async def test_many_make_one_call(clients):
    """However many ask at once, it is made once, and everybody gets the same."""
    people = [await clients(f"user-{n}") for n in range(10)]
    data = {"data": {"members": [{"user_id": f"user-{n}"} for n in range(10)]}}
    answers = await asyncio.gather(*(one.ask("POST", PATH, data) for one in people))
    assert [one.status for one in answers] == [201] * 10, [one.body for one in answers]
    assert sum(one.json["created"] for one in answers) == 1
    assert len({one.json["call"]["created_by"]["id"] for one in answers}) == 1


async def test_a_query_finds_what_its_caller_may_see(clients):
    """By filter, sorted, in pages that hold every call once; for a user only calls that name it."""
    app, ben = await clients(None), await clients("ben")
    for n in range(7):
        data = {"created_by_id": "anna", "custom": {"n": n}}
        if n % 2:
            data["members"] = [{"user_id": "ben"}]
        await app.ask("POST", f"/video/call/default/c{n}", {"data": data})
    found = await app.ask("POST", "/video/calls", {"filter_conditions": {"custom.n": {"$gte": 5}}})
    assert {one["call"]["id"] for one in found.json["calls"]} == {"c5", "c6"}
    found = await ben.ask("POST", "/video/calls", {})
    assert {one["call"]["id"] for one in found.json["calls"]} == {"c1", "c3", "c5"}
    by_member = {"filter_conditions": {"members": {"$in": ["ben"]}}}
    found = await app.ask("POST", "/api/v2/video/calls", by_member)
    assert {one["call"]["id"] for one in found.json["calls"]} == {"c1", "c3", "c5"}
    seen, following = [], None
    sort = [{"field": "custom.n", "direction": -1}]
    for _ in range(4):
        body = {"sort": sort, "limit": 2, **({"next": following} if following else {})}
        page = (await app.ask("POST", "/video/calls", body)).json
        seen += [one["call"]["custom"]["n"] for one in page["calls"]]
        following = page.get("next")
    assert (seen, following) == ([6, 5, 4, 3, 2, 1, 0], None)


async def test_all_calls_that_are_named_are_watched_again(gateway, clients):
    """An SDK that is back names everything it watched, without a limit: it misses no call of it."""
    app, anna = await clients(None), await clients("anna", connected=True)
    cids = [f"default:many{n:03d}" for n in range(120)]
    members = {"data": {"created_by_id": "anna"}}
    for cid in cids:
        await app.ask("POST", f"/video/call/default/{cid.partition(':')[2]}", members)
    body = {"filter_conditions": {"cid": {"$in": cids}}, "watch": True}
    found = (await anna.ask("POST", "/video/calls", body, watching=True)).json
    assert sorted(one["call"]["cid"] for one in found["calls"]) == cids
    assert "next" not in found
    for cid in (cids[0], cids[-1]):
        assert await hears(anna, cid)


BAD = [
    ("POST", PATH, b"[]"),
    ("POST", PATH, b"{"),
    ("POST", PATH, b'{"data":{"members":[{}]}}'),
    ("POST", PATH, b'{"data":{"starts_at":"soon"}}'),
    ("POST", PATH, b'{"data":{"custom":{"x":"%s"}}}' % (b"y" * 6000)),
    ("POST", PATH, b'{"data":{"custom":' + b"[" * 5000 + b"]" * 5000 + b"}}"),
    ("POST", PATH, b'{"data":{"custom":{"x":123456789012345678901}}}'),
    ("POST", PATH, b'{"data":{"settings_override":{"x":"%s"}}}' % (b"y" * 65_536)),
    ("POST", PATH, b'{"members_limit":-1}'),
    ("POST", "/video/calls", b'{"limit":101}'),
    ("POST", "/video/calls", b'{"prev":"x"}'),
    ("POST", "/video/calls", b'{"filter_conditions":{"$q":1}}'),
    ("POST", "/video/guest", b"{}"),
    ("POST", "/video/guest", b'{"user":{"id":""}}'),
    ("GET", PATH + "?members_limit=x", None),
    ("GET", "/video/call/default/" + "x" * 300, None),
    ("GET", "/video/call/default/%00", None),
]


@pytest.mark.parametrize(("method", "path", "body"), BAD)
async def test_bad_input_is_code_4(clients, method, path, body):
    """With all six fields, and without a traceback."""
    anna = await clients("anna")
    answer = await anna.ask(method, path, body)
    assert (answer.status, answer.code) == (400, 4)


async def test_what_is_not_answered_here(clients):
    """Code 16 that says so; a body beyond 1 MiB is 22; no token is 5, a wrong one 43."""
    anna = await clients("anna")
    odd = "/video/a%0d%0aX:%20b"
    for method, path in (("GET", "/video/edges"), ("PATCH", PATH), ("DELETE", V2), ("GET", odd)):
        answer = await anna.ask(method, path)
        assert answer.code == 16
        assert "upstream.url" in answer.json["message"]
    assert (await anna.ask("POST", PATH, b"x" * (1 << 20) + b"x")).code == 22
    anna.token = ""
    assert (await anna.ask("GET", PATH)).code == 5
    anna.token = token("anna", secret="wrong")  # noqa: S106
    assert (await anna.ask("GET", PATH)).code == 43


async def test_a_server_says_who_makes_a_call(clients):
    """Without `created_by_id` or `created_by` it is code 4."""
    app = await clients(None)
    assert (await app.ask("POST", PATH, {})).code == 4
    user = {"id": "anna", "name": "Anna"}
    made = await app.ask("POST", PATH, {"data": {"created_by": user}})
    assert made.json["call"]["created_by"]["name"] == "Anna"


async def test_a_guest_is_nobody_else(clients):
    """It gets an id of its own, whatever it asks for, and a token that is good for that alone."""
    anna = await clients("anna")
    await anna.ask("POST", PATH, {})
    visitor = await clients("anna")
    said = (await visitor.ask("POST", "/video/guest", {"user": {"id": "anna"}})).json
    assert said["user"]["id"].startswith("guest-")
    assert said["user"]["role"] == "guest"
    visitor.token = said["access_token"]
    assert (await visitor.ask("GET", PATH)).code == 17


async def test_a_guest_with_a_long_name(clients):
    """Its token is one that is taken: an id that would be too long is refused at once."""
    visitor = await clients("x")
    for chars, status in ((53, 201), (54, 400), (63, 400)):
        said = await visitor.ask("POST", "/video/guest", {"user": {"id": "\U0001f388" * chars}})
        assert said.status == status
        if status == 201:
            visitor.token = said.json["access_token"]
            assert (await visitor.ask("GET", PATH)).code == 17


async def test_a_name_taken_beforehand_opens_no_call_of_streams(gateway, clients):
    """Who makes a call here, under the name of one that Stream knows as another's, loses it."""
    eve, ben = await clients("eve"), await clients("ben")
    made = await eve.ask("POST", PATH, {"data": {"members": [{"user_id": "kim"}]}})
    assert made.status == 201
    created = {
        "type": "call.created",
        "created_at": "2026-11-20T10:00:00Z",
        "call_cid": CID,
        "call": {"created_at": "2026-11-20T10:00:00Z", "created_by": {"id": "anna"}},
        "members": [{"user_id": "ben"}],
    }
    await webhook(gateway, created)
    await eventually(lambda: _status(ben, 200))
    assert (await eve.ask("GET", PATH)).code == 17
    assert (await (await clients("kim")).ask("GET", PATH)).code == 17
    said = (await (await clients(None)).ask("GET", PATH)).json
    assert [one["user_id"] for one in said["members"]] == ["ben"]


CALL = {"created_at": "2026-11-20T10:00:00Z", "created_by": {"id": "anna"}}
FIRST = {
    "a session": {"type": "call.session_started", "session_id": "s", "call": CALL},
    "a member": {"type": "call.member_added", "call": CALL, "members": [{"user_id": "ben"}]},
    "a member, no call told": {"type": "call.member_added", "members": [{"user_id": "anna"}]},
    "a removal": {"type": "call.member_removed", "call": CALL, "members": ["kim"]},
}


@pytest.mark.parametrize("event", FIRST.values(), ids=FIRST)
async def test_whatever_stream_says_first_ends_a_call_made_here(gateway, clients, event):
    """Its maker and whom he named keep nothing; whom Stream names is let in."""
    anna, eve, kim = await clients("anna"), await clients("eve"), await clients("kim")
    made = {"data": {"members": [{"user_id": "kim"}], "custom": {"of": "eve"}}}
    assert (await eve.ask("POST", PATH, made)).status == 201
    await webhook(gateway, {"call_cid": CID, **event})
    await eventually(lambda: _status(anna, 200))
    said = (await anna.ask("GET", PATH)).json
    assert said["call"]["custom"] == {}
    assert {"eve", "kim"}.isdisjoint(one["user_id"] for one in said["members"])
    for one in (eve, kim):
        assert (await one.ask("GET", PATH)).code == 17
        assert (await one.ask("POST", PATH, made)).code == 17
        assert (await one.ask("POST", PATH + "/event", {"custom": {}})).code == 17
        assert (await one.ask("POST", "/video/calls", {})).json["calls"] == []


async def test_a_maker_whom_stream_names_too_stays(gateway, clients):
    """As what Stream names him; whom he alone named does not."""
    anna, ben = await clients("anna"), await clients("ben")
    await anna.ask("POST", PATH, {"data": {"members": [{"user_id": "ben"}]}})
    await webhook(gateway, {"type": "call.updated", "call_cid": CID, "call": CALL})
    await eventually(lambda: _status(ben, 403))
    assert (await anna.ask("GET", PATH)).status == 200


async def test_calls_that_anybody_makes_are_bounded_at_once(tmp_path):
    """No interval in which they could fill all memory: each beyond the bound costs the oldest."""
    async with running_gateway(
        tmp_path / "g", feed={"max_calls": 16, "user_events_burst": 1000}
    ) as gateway:
        await gateway.up()
        async with stream_client(f"http://127.0.0.1:{gateway.port}", "anna") as anna:
            for n in range(60):
                made = await anna.ask("POST", f"/video/call/default/c{n}", {})
                assert made.status == 201
            found = await anna.ask("POST", "/video/calls", {"limit": 100})
            assert 0 < len(found.json["calls"]) <= 16
            assert "default:c59" in [one["call"]["cid"] for one in found.json["calls"]]


async def test_no_guests_unless_they_are_on(tmp_path):
    """Without `feed.guests`: code 17."""
    async with running_gateway(tmp_path / "g") as gateway:
        async with stream_client(f"http://127.0.0.1:{gateway.port}", "x") as client:
            assert (await client.ask("POST", "/video/guest", {"user": {"id": "x"}})).code == 17


async def test_telemetry_is_taken(clients):
    """Without a token: 201, so that no SDK asks again."""
    anna = await clients("anna")
    anna.token = ""
    said = await anna.ask("POST", "/video/call_client_event", {"events": [{}]})
    assert (said.status, set(said.json)) == (201, {"duration"})


@pytest.mark.parametrize("path", [PATH, V2 + "/join", "/video/calls", "/video/anything"])
async def test_any_page_may_ask(gateway, clients, path):
    """Preflights are answered without credentials, and every answer, refusals too, may be read."""
    anna = await clients("anna")
    url = f"http://127.0.0.1:{gateway.port}{path}?api_key={KEY}"
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    async with anna.session.options(url, headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        allowed = response.headers["Access-Control-Allow-Headers"]
        for name in ("authorization", "x-stream-client", "stream-auth-type", "content-type"):
            assert name in allowed
    for client_token in (anna.token, "x"):
        anna.token = client_token
        answer = await anna.ask("POST", path, {})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_calls_outlive_a_restart(gateway, clients):
    """States lie in Redis: what was made before a kill -9 is known after it."""
    anna = await clients("anna")
    await anna.ask("POST", PATH, {"data": {"custom": {"n": 1}}})
    await gateway.kill()
    await gateway.start()
    await eventually(lambda: _status(anna, 200), within_s=60)
    assert (await anna.ask("GET", PATH)).json["call"]["custom"] == {"n": 1}
