"""SendCallEvent: from a user's or a server's request to watchers and subscribers."""

import asyncio
import hmac
import json

import pytest
from plain_client import CALL, SECRET, token, watching
from support.eventually import eventually
from support.feed import feeding_gateway
from support.receiver import running_receiver
from support.stream_client import stream_client

PATH = "/video/call/default/numbers/event"


@pytest.fixture
async def alice(gateway):
    async with stream_client(f"http://127.0.0.1:{gateway.port}", "alice") as client:
        yield client


@pytest.fixture
async def server(gateway):
    async with stream_client(f"http://127.0.0.1:{gateway.port}", None) as client:
        yield client


async def test_each_watcher_gets_it_once_in_order(gateway, alice, server):
    """Users' and servers' events are in one order for all, none twice though they say the same."""
    async with watching(gateway) as one, watching(gateway, user="bob") as two:
        for _ in range(20):
            assert (await alice.ask("POST", PATH, {"custom": {"n": 1}})).status == 201
            body = {"custom": {"n": 2}, "user_id": "carol"}
            assert (await server.ask("POST", "/api/v2" + PATH, body)).status == 201
        assert await one.numbers(40) == await two.numbers(40) == [1, 2] * 20


async def test_what_is_the_callers_and_what_is_ours(gateway, alice, server):
    """`custom` comes byte for byte; whatever else a caller says changes nothing."""
    custom = b'{ "a": 1.50, "b" : "\\u00e9<&>" }'
    forged = (
        b'{"type":"call.ended","call_cid":"x:y","user_id":"bob","user":{"id":"bob"},"custom":%b}'
    )
    async with watching(gateway) as socket:
        assert (await alice.ask("POST", PATH, forged % custom)).status == 201
        text = (await socket.raw.receive(timeout=30)).data.encode()
        assert b'"custom":' + custom in text
        event = json.loads(text)["event"]
        assert (event["type"], event["call_cid"]) == ("custom", CALL)
        assert event["user"]["id"] == "alice"
        named = {"custom": {}, "user": {"id": "dora", "name": "Dora"}}
        await server.ask("POST", PATH, named)
        user = (await socket.hear())["event"]["user"]
        assert (user["id"], user["name"]) == ("dora", "Dora")
        assert (await alice.ask("POST", PATH)).status == 201  # an empty one
        assert (await socket.hear())["event"]["custom"] == {}


async def test_a_subscriber_gets_it_signed(tmp_path):
    """A rule that fits brings it, signed with the app's newest secret; the ledger adds up."""
    async with running_receiver() as receiver:
        rule = {"name": "app", "kind": "http", "url": receiver.url, "match": {"types": ["custom"]}}
        async with feeding_gateway(tmp_path / "g", {"subscribers": [rule]}) as gateway:
            async with stream_client(f"http://127.0.0.1:{gateway.port}", "alice") as alice:
                await alice.ask("POST", PATH, {"custom": {"n": 1}})
            await eventually(lambda: receiver.requests)
            await gateway.settled()
            (webhook,) = receiver.requests
    expected = hmac.digest(SECRET.encode(), webhook.body, "sha256").hex()
    assert webhook.headers["x-signature"] == expected
    assert json.loads(webhook.body)["custom"] == {"n": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"custom": {"t": "x" * 5200}}, 22),
        ({"custom": [1]}, 4),
        ({"custom": "text"}, 4),
        (b"nonsense", 4),
        (b"[]", 4),
        (b'{"custom":{"a":"\xff"}}', 4),
        (b'{"custom":' + b'{"a":' * 1500 + b"1" + b"}" * 1501, 4),
    ],
)
async def test_what_is_refused(gateway, alice, body, code):
    """With Stream's code; nobody hears of it, and what fits goes through after it."""
    async with watching(gateway) as socket:
        assert (await alice.ask("POST", PATH, body)).code == code
        assert (await alice.ask("POST", PATH, {"custom": {"t": "x" * 5000, "n": 7}})).status == 201
        assert await socket.numbers(1) == [7]


async def test_who_may_not(gateway, alice, server):
    """A wrong token, and a server that does not say for whom."""
    assert (await server.ask("POST", PATH, {"custom": {}})).code == 4
    alice.token = token(secret="wrong")
    refused = await alice.ask("POST", PATH, {"custom": {}})
    assert (refused.code, refused.headers["Access-Control-Allow-Origin"]) == (43, "*")


async def test_a_page_may_ask(alice):
    """A browser asks first, without a token, and is told what it may send."""
    reply = await alice.ask("OPTIONS", PATH, headers={"Authorization": ""})
    assert reply.status == 204
    assert "authorization" in reply.headers["Access-Control-Allow-Headers"]


class TestKilled:
    @pytest.fixture
    def settings(self):
        bounds = (
            "user_events_per_s",
            "user_events_burst",
            "call_events_per_s",
            "call_events_burst",
        )
        return {"feed": dict.fromkeys(bounds, 1_000_000)}

    async def test_what_was_answered_survives_a_kill(self, gateway, alice):
        """Whatever had its 201 is published, though the gateway is killed while users send."""
        acked = []

        async def send():
            while True:
                reply = await alice.ask("POST", PATH, {"custom": {"n": len(acked)}})
                assert reply.status == 201
                acked.append(len(acked))

        sending = asyncio.create_task(send())
        await eventually(lambda: len(acked) > 200)
        await gateway.kill()
        with pytest.raises(Exception):  # noqa: B017 - the connection broke
            await sending
        await gateway.start()
        ledger = await gateway.settled()
        assert ledger["overall"]["published"] in (len(acked), len(acked) + 1)  # one was under way


class TestTooFast:
    @pytest.fixture
    def settings(self):
        bounds = {"user_events_per_s": 1, "user_events_burst": 3, "call_events_burst": 5}
        return {"feed": {**bounds, "call_events_per_s": 1}, "subscribers": []}

    async def test_it_is_refused_counted_and_goes_nowhere(self, gateway, alice, server):
        """429, code 9, Retry-After, for a user and for a call; nobody else is concerned."""
        other = "/video/call/default/other/event"
        async with watching(gateway, CALL, "default:other") as socket:
            replies = [await alice.ask("POST", PATH, {"custom": {"n": n}}) for n in range(9)]
            refused = [one for one in replies if one.status != 201]
            assert len(refused) >= 3
            for one in refused:
                assert (one.status, one.code) == (429, 9)
                assert int(one.headers["Retry-After"]) >= 1
            let_in = [n for n, one in enumerate(replies) if one.status == 201]
            assert await socket.numbers(len(let_in)) == let_in
            async with stream_client(f"http://127.0.0.1:{gateway.port}", "bob") as bob:
                assert (await bob.ask("POST", other, {"custom": {"n": 100}})).status == 201
            assert await socket.numbers(1) == [100]
            body = {"custom": {"n": 7}, "user_id": "carol"}
            answers = [(await server.ask("POST", PATH, body)).status for _ in range(12)]
            assert answers.count(429) >= 3
            assert await socket.numbers(answers.count(201)) == [7] * answers.count(201)
        for bound, count in (("user", len(refused)), ("call", answers.count(429))):
            name = f'gateway_too_fast_total{{bound="{bound}"}}'
            assert await gateway.metric(name) == count
        assert (await gateway.settled())["balanced"]


class TestBusyCall:
    @pytest.fixture
    def settings(self):
        return {"feed": {"access": "members", "call_events_per_s": 1, "call_events_burst": 1}}

    async def test_who_may_not_watch_does_not_learn_how_busy_it_is(self, gateway, server):
        """He is refused for what he is (17), never for what others do (9)."""
        body = {"custom": {}, "user_id": "carol"}
        answers = [(await server.ask("POST", PATH, body)).status for _ in range(6)]
        assert answers.count(429) >= 2
        async with stream_client(f"http://127.0.0.1:{gateway.port}", "mallory") as mallory:
            replies = [await mallory.ask("POST", PATH, {"custom": {}}) for _ in range(3)]
        assert [reply.code for reply in replies] == [17] * 3
