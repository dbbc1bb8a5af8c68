"""An application's server, by node-sdk and by getstream: calls made, read, found; errors; tokens."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from drivers import Refused
from support.eventually import eventually
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from users import connected, server

CID = "livestream:show-1"


async def test_a_call_is_made_read_and_found(gateway, servers):
    """What GetOrCreate was given comes back from Get and QueryCalls, times as the SDK reads them."""
    app = await server(servers, gateway)
    data = {"created_by_id": "anna", "custom": {"topic": "Ω"}, "members": [{"user_id": "ben"}]}
    made = await app.ask("get_or_create", cid=CID, data=data)
    read = await app.ask("get", cid=CID)
    for answer in (made, read):
        call = answer["call"]
        assert (call["cid"], call["custom"]) == (CID, {"topic": "Ω"})
        assert call["created_by"]["id"] == "anna"
        assert [member["user_id"] for member in answer["members"]] == ["ben"]
        age = datetime.now(UTC) - datetime.fromisoformat(call["created_at"])
        assert timedelta(0) <= age < timedelta(minutes=1)
    by_custom = {"$or": [{"custom.topic": "Ω"}, {"cid": "livestream:none"}]}
    for filter_ in ({"type": "livestream"}, {"cid": {"$in": [CID]}}, by_custom):
        assert (await app.ask("query", filter=filter_))["cids"] == [CID]
    assert (await app.ask("query", filter={"type": "other"}))["cids"] == []


async def test_pages_of_calls(gateway, servers):
    """Sorted and limited, `next` leads through all of them once."""
    app = await server(servers, gateway)
    cids = [f"default:call-{n}" for n in range(5)]
    for cid in cids:
        await app.ask("get_or_create", cid=cid, data={"created_by_id": "anna"})
    page = {"filter": {"type": "default"}, "sort": [{"field": "created_at", "direction": -1}]}
    seen, after = [], None
    for _ in range(3):
        found = await app.ask("query", **page, limit=2, **({"next": after} if after else {}))
        seen += found["cids"]
        after = found["next"]
    assert (seen, after) == (cids[::-1], None)


async def test_a_call_that_nobody_knows(gateway, servers):
    """Code 16, which the SDK raises as its own error."""
    app = await server(servers, gateway)
    with pytest.raises(Refused) as refused:
        await app.ask("get", cid="default:never")
    assert refused.value.code == 16
    assert refused.value.status == 404


async def test_an_event_needs_its_user_and_its_size(gateway, servers):
    """From a server without a user: code 4; beyond 5 KB: code 22."""
    app = await server(servers, gateway)
    await app.ask("get_or_create", cid=CID, data={"created_by_id": "anna"})
    for args, code in (
        ({"events": [{"a": 1}]}, 4),
        ({"events": [{"a": "x" * 6000}], "user_id": "anna"}, 22),
    ):
        with pytest.raises(Refused) as refused:
            await app.ask("send", cid=CID, **args)
        assert refused.value.code == code


async def test_tokens_that_an_sdk_makes(gateway, servers, node_users):
    """A user token watches; so does a call token, the calls that it names and others."""
    app = await server(servers, gateway)
    for cid in (CID, "default:other"):
        await app.ask("get_or_create", cid=cid, data={"created_by_id": "anna"})
    tokens = [await app.ask("token", user_id="ben")]
    ben = await connected(node_users, gateway, "ben", tokens=tokens)
    await ben.ask("get", cid=CID)
    tokens = [await app.ask("call_token", user_id="kim", cids=[CID])]
    kim = await connected(node_users, gateway, "kim", tokens=tokens)
    await kim.ask("get", cid=CID)
    await kim.ask("get", cid="default:other")
    await app.ask("send", cid=CID, events=[{"n": 1}], user_id="anna")
    assert await ben.hears(1) == await kim.hears(1) == [{"n": 1}]


async def test_an_event_of_a_user_reaches_subscribers_signed(tmp_path, servers, node_users):
    """It is a webhook to those whose rule fits, and the SDK's own check accepts its signature."""
    async with running_receiver() as receiver:
        rule = {"name": "app", "kind": "http", "url": receiver.url, "match": {"types": ["custom"]}}
        settings = {"feed": {"access": "any"}, "server": {"drain": "1s"}, "subscribers": [rule]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            await gateway.up()
            alice = await connected(node_users, gateway, "alice")
            await alice.ask("get_or_create", cid=CID)
            await alice.ask("send", cid=CID, events=[{"text": "🎈 <&>"}])
            await eventually(lambda: receiver.requests)
            [webhook] = receiver.requests
            assert json.loads(webhook.body) == (await alice.events_of("custom", 1))[0]
            app = await server(servers, gateway)
            body, signature = webhook.body.decode(), webhook.headers["x-signature"]
            assert await app.ask("verify", body=body, signature=signature)
            assert not await app.ask("verify", body=body + " ", signature=signature)


async def test_members_only(tmp_path, servers, node_users):
    """Unless configured otherwise who is no member of a call neither watches nor sends: code 17."""
    async with running_gateway(tmp_path / "g", server={"drain": "1s"}) as gateway:
        await gateway.up()
        app = await server(servers, gateway)
        data = {"created_by_id": "anna", "members": [{"user_id": "ben"}]}
        await app.ask("get_or_create", cid=CID, data=data)
        ben, kim = [await connected(node_users, gateway, name) for name in ("ben", "kim")]
        await ben.ask("get", cid=CID)
        for do, args in (("get", {}), ("join", {}), ("send", {"events": [{"n": 1}]})):
            with pytest.raises(Refused) as refused:
                await kim.ask(do, cid=CID, **args)
            assert refused.value.code == 17
        found = await kim.ask("query", filter={"cid": {"$in": [CID]}}, watch=True)
        assert found["cids"] == []
        await ben.ask("send", cid=CID, events=[{"n": 2}])
        assert await ben.hears(1) == [{"n": 2}]
        assert kim.events == []
