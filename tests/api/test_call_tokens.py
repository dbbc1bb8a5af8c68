"""Tokens that name calls, where a call's state decides who may watch: in the whole gateway."""

import json

import aiohttp
import pytest
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import KEY, SECRET, stream_client, token
from support.webhooks import signed_request

CID, PATH = "default:room", "/video/call/default/room"
OTHER, OTHER_PATH = "default:other", "/video/call/default/other"


@pytest.fixture
async def gateway(tmp_path):
    async with running_gateway(tmp_path / "g", server={"drain": "1s"}) as gateway:
        await gateway.up()
        yield gateway


@pytest.fixture
async def kim(gateway):
    """Whom no call names, but her token."""
    async with stream_client(f"http://127.0.0.1:{gateway.port}", "kim") as kim:
        kim.token = token("kim", call_cids=[CID], role="admin")
        yield await kim.connect()


async def tell(gateway, cid=CID, **event):
    body = json.dumps({"call_cid": cid, "created_at": "2026-12-01T00:00:00Z", **event}).encode()
    async with aiohttp.ClientSession() as session:
        headers = signed_request(body, SECRET, KEY)
        async with session.post(gateway.url, data=body, headers=headers) as response:
            assert response.status == 200


async def made(gateway, kim, cid=CID, members=()):
    """Have Stream tell of a call; return once it is known here."""
    call = {"cid": cid, "created_at": "2026-12-01T00:00:00Z", "created_by": {"id": "anna"}}
    named = [{"user_id": one} for one in members]
    await tell(gateway, cid, type="call.created", call=call, members=named)
    async with stream_client(kim.base, None) as server:
        await eventually(lambda: _known(server, cid))


async def _known(server, cid):
    return (await server.ask("GET", f"/video/call/{cid.replace(':', '/')}")).status == 200


async def test_a_call_token_lets_in(gateway, kim):
    """To the call that it names: seen, watched, found, and sent to, though nobody is a member."""
    await made(gateway, kim)
    seen = await kim.ask("GET", PATH, watching=True)
    assert seen.status == 200
    await eventually(lambda: _finds(kim, CID))
    assert (await kim.ask("POST", PATH + "/event", {"custom": {"n": 1}})).status == 201
    assert (await kim.event())["custom"] == {"n": 1}


async def test_before_any_webhook(gateway, kim):
    """Whoever has a call token watches before anything is known of the call."""
    async with kim.session.ws_connect(f"{kim.base}/feed") as socket:
        first = {"type": "watch", "token": kim.token, "api_key": KEY, "calls": [CID]}
        await socket.send_json(first)
        assert (await socket.receive_json(timeout=30))["type"] == "watching"
        await tell(gateway, type="custom", custom={"n": 1})
        assert (await socket.receive_json(timeout=30))["event"]["custom"] == {"n": 1}
    assert (await kim.ask("POST", PATH, {}, watching=True)).status == 201
    await made(gateway, kim)
    assert (await kim.event())["type"] == "call.created"
    assert (await kim.ask("GET", PATH)).status == 200


async def test_through_a_ticket(gateway, kim):
    """A ticket lets in where its token does, and nowhere else."""
    for cid, is_let_in in ((CID, True), (OTHER, False)):
        given = await kim.ask("POST", "/feed/tickets")
        url = f"{kim.base}/feed?call={cid}&ticket={given.json['ticket']}"
        async with kim.session.ws_connect(url) as socket:
            said = await socket.receive_json(timeout=30)
            assert (said["type"] == "watching" and cid in said["calls"]) is is_let_in


async def test_it_keeps_out_of_no_other_call(gateway, kim):
    """A member of another call sees, finds and watches that as with any token."""
    await made(gateway, kim)
    await made(gateway, kim, OTHER, ["kim"])
    assert (await kim.ask("GET", OTHER_PATH, watching=True)).status == 200
    await eventually(lambda: _finds(kim, CID, OTHER))
    assert (await kim.ask("POST", "/video/call/default/new", {})).status == 201
    kim.token = token("kim", call_cids=["default:third"])
    assert (await kim.ask("GET", OTHER_PATH)).status == 200


async def test_neither_role_nor_other_calls_let_in(gateway, kim):
    """Of a call that it does not name a call token says nothing, whatever role it claims."""
    await made(gateway, kim, OTHER)
    assert (await kim.ask("GET", OTHER_PATH)).code == 17
    assert (await kim.ask("POST", OTHER_PATH + "/event", {"custom": {}})).code == 17
    query = {"filter_conditions": {"cid": {"$in": [CID, OTHER]}}}
    async with stream_client(kim.base, None) as server:
        await eventually(lambda: _finds(server, OTHER))
    assert (await kim.ask("POST", "/video/calls", query)).json["calls"] == []


async def test_a_block_wins(gateway, kim):
    """The blocked user hears of it as the last, and no token of hers lets her in again."""
    await made(gateway, kim)
    assert (await kim.ask("GET", PATH, watching=True)).status == 200
    await tell(gateway, type="call.blocked_user", user={"id": "kim"})
    assert (await kim.event())["type"] == "call.blocked_user"
    await eventually(lambda: _is_refused(kim))
    assert (await kim.ask("POST", PATH + "/event", {"custom": {}})).code == 17
    assert (await kim.ask("POST", PATH, {}, watching=True)).code == 17
    assert (await kim.ask("POST", "/video/calls", {})).json["calls"] == []
    await tell(gateway, type="call.unblocked_user", user={"id": "kim"})
    await eventually(lambda: _is_let_in(kim))


async def test_who_is_removed_comes_back_by_a_token(gateway, kim):
    """A removal is no block: who has a call token may watch again, who has none may not."""
    await made(gateway, kim, CID, ["kim", "ben"])
    assert (await kim.ask("GET", PATH, watching=True)).status == 200
    async with stream_client(kim.base, "ben") as ben:
        assert (await ben.ask("GET", PATH)).status == 200
        await tell(gateway, type="call.member_removed", members=["kim", "ben"])
        while (await kim.event())["type"] != "call.member_removed":
            pass
        await eventually(lambda: _is_refused(ben))
        assert (await kim.ask("GET", PATH, watching=True)).status == 200
        await tell(gateway, type="custom", custom={"n": 2})
        assert (await kim.event())["custom"] == {"n": 2}


async def _finds(client, *cids):
    found = await client.ask("POST", "/video/calls", {})
    return {one["call"]["cid"] for one in found.json["calls"]} == set(cids)


async def _is_refused(client):
    return (await client.ask("GET", PATH)).status == 403


async def _is_let_in(client):
    return (await client.ask("GET", PATH)).status == 200
