"""Who is a member no more, or blocked: in the whole gateway, on all kinds of connections."""

import asyncio
import contextlib
import json

import aiohttp
import pytest
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import KEY, SECRET, stream_client, token
from support.stream_standin import running_stream
from support.webhooks import signed_request

from gateway.store import keys

CID, PATH = "default:room", "/video/call/default/room"


@pytest.fixture
async def gateway(tmp_path):
    settings = {"server": {"drain": "1s"}, "feed": {"ping_interval": "10m"}}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()
        yield gateway


async def _tell(session, gateway, **event):
    content = json.dumps({"call_cid": CID, **event}).encode()
    headers = signed_request(content, SECRET, KEY)
    async with session.post(gateway.url, data=content, headers=headers) as response:
        assert response.status == 200


async def _made(session, gateway, anna, *members):
    """Have Stream tell of a call of anna's, which she watches."""
    call = {"created_at": "2026-11-20T10:00:00Z", "created_by": {"id": "anna"}}
    named = [{"user_id": one} for one in members]
    await _tell(session, gateway, type="call.created", call=call, members=named)
    await eventually(lambda: _watches(anna))
    await _tell(session, gateway, type="custom", custom={"begun": True})
    while (await anna.event()).get("custom") != {"begun": True}:
        pass


async def _watches(client):
    return (await client.ask("GET", PATH, watching=True)).status == 200


REMOVED = {"type": "call.member_removed", "members": ["ben", "anna"]}
BLOCKED = {"type": "call.blocked_user", "user": {"id": "ben"}}


@pytest.mark.parametrize("event", [REMOVED, BLOCKED], ids=["removed", "blocked"])
async def test_who_is_shut_out_hears_no_more(gateway, event):
    """The event that says so is the last one; who created the call, and others, hear on."""
    base = f"http://127.0.0.1:{gateway.port}"
    async with (
        stream_client(base, "anna") as anna,
        stream_client(base, "ben") as ben,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{base}/feed") as plain,
    ):
        await anna.connect()
        await _made(session, gateway, anna, "ben", "kim")
        await ben.connect()
        assert (await ben.ask("GET", PATH, watching=True)).status == 200
        first = {"type": "watch", "token": token("ben"), "api_key": KEY, "calls": [CID]}
        await plain.send_json(first)
        assert (await plain.receive_json(timeout=30))["type"] == "watching"
        await _tell(session, gateway, **event)
        for one in (anna, ben):
            assert (await one.event())["type"] == event["type"]
        assert (await plain.receive_json(timeout=30))["event"]["type"] == event["type"]
        said = await plain.receive_json(timeout=30)
        assert (said["type"], said["code"], said["calls"]) == ("error", 17, [CID])
        await _tell(session, gateway, type="custom", custom={"n": 1})
        assert (await anna.event())["custom"] == {"n": 1}
        await eventually(lambda: _is_refused(ben))
        await _tell(session, gateway, type="custom", custom={"n": 2})
        assert (await anna.event())["custom"] == {"n": 2}
        with pytest.raises(TimeoutError):
            await ben.event(within_s=0.3)
        with pytest.raises(asyncio.TimeoutError):
            await plain.receive_json(timeout=0.3)


def _tells_of_block(*blocked, at="2026-12-01T00:00:05Z"):
    call = {"created_by": {"id": "anna"}, "blocked_user_ids": list(blocked)}
    return {"type": "call.updated", "created_at": at, "call": call}


async def test_a_block_counts_whatever_event_brings_it(gateway):
    """That event is the last one, also where no `call.blocked_user` came; one that comes late,
    and tells of a block that is over, shuts nobody out.
    """
    base = f"http://127.0.0.1:{gateway.port}"
    async with (
        stream_client(base, "anna") as anna,
        stream_client(base, "ben") as ben,
        aiohttp.ClientSession() as session,
    ):
        call = {"created_by": {"id": "anna"}}
        members = [{"user_id": "ben"}]
        await _tell(
            session,
            gateway,
            type="call.created",
            created_at="2026-12-01T00:00:02Z",
            call=call,
            members=members,
        )
        for one in (anna, ben):
            await one.connect()
            assert (await one.ask("GET", PATH, watching=True)).status == 200
        await _tell(session, gateway, **_tells_of_block("ben", at="2026-12-01T00:00:01Z"))
        await _tell(session, gateway, type="custom", custom={"n": 1})
        for one in (anna, ben):
            told = [(await one.event())["type"] for _ in range(2)]
            assert told == ["call.updated", "custom"]
        await _tell(session, gateway, **_tells_of_block("ben"))
        await _tell(session, gateway, type="custom", custom={"n": 2})
        assert [(await anna.event())["type"] for _ in range(2)] == ["call.updated", "custom"]
        assert (await ben.event())["type"] == "call.updated"
        with pytest.raises(TimeoutError):
            await ben.event(within_s=0.3)


async def _is_refused(client):
    return (await client.ask("GET", PATH)).status == 403


async def test_who_comes_back_too_early_is_found(gateway):
    """Whoever watches again before the state knows of it has not won anything."""
    base = f"http://127.0.0.1:{gateway.port}"
    async with (
        stream_client(base, "anna") as anna,
        stream_client(base, "ben") as ben,
        aiohttp.ClientSession() as session,
    ):
        await anna.connect()
        await _made(session, gateway, anna, "ben")
        await ben.connect()
        await ben.ask("GET", PATH, watching=True)
        await _tell(session, gateway, **BLOCKED)
        assert (await ben.event())["type"] == BLOCKED["type"]
        while (await ben.ask("GET", PATH, watching=True)).status == 200:
            pass

        async def hears_nothing():
            await _tell(session, gateway, type="custom", custom={"n": len(heard)})
            heard.append(await anna.event())
            try:
                await ben.event(within_s=0.3)
            except TimeoutError:
                return True
            return False

        heard = []
        await eventually(hears_nothing, within_s=60)


FIRST = {
    "a session": {"type": "call.session_started", "session_id": "s", "call": {}},
    "somebody comes": {"type": "call.session_participant_joined", "participant": {}},
    "a caption": {"type": "call.closed_caption", "closed_caption": {"text": "a secret"}},
    "a custom event of Stream's": {"type": "custom", "custom": {"n": 1}, "user": {"id": "eve"}},
    "a type that nobody knows": {"type": "call.new_thing", "user": {"id": "eve"}},
}


@pytest.mark.parametrize("event", FIRST.values(), ids=FIRST)
async def test_a_call_made_here_ends_with_whatever_stream_tells_of_it(gateway, event):
    """Though it is not `call.created`: who watches by the call made here hears nothing of it."""
    base = f"http://127.0.0.1:{gateway.port}"
    async with (
        stream_client(base, "eve") as eve,
        stream_client(base, "ida") as ida,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{base}/feed") as plain,
    ):
        ida.token = token("ida", call_cids=[CID])
        await eve.connect()
        await ida.connect()
        made = {"data": {"members": [{"user_id": "ben"}]}}
        assert (await eve.ask("POST", PATH, made, watching=True)).status == 201
        assert (await ida.ask("GET", PATH, watching=True)).status == 200
        first = {"type": "watch", "token": token("ben"), "api_key": KEY, "calls": [CID]}
        await plain.send_json(first)
        assert (await plain.receive_json(timeout=30))["calls"] == [CID]
        assert (await eve.ask("POST", PATH + "/event", {"custom": {"n": 0}})).status == 201
        for one in (eve, ida):
            assert (await one.event())["custom"] == {"n": 0}
        assert (await plain.receive_json(timeout=30))["event"]["custom"] == {"n": 0}
        await _tell(session, gateway, **event)
        assert (await ida.event())["type"] == event["type"]
        said = await plain.receive_json(timeout=30)
        assert (said["code"], said["calls"]) == (17, [CID])
        await plain.send_json({"type": "ping"})
        assert (await plain.receive_json(timeout=30))["type"] == "pong"
        ring = {"type": "call.ring", "members": [{"user_id": "eve"}]}
        await _tell(session, gateway, **ring, call_cid="default:next")
        assert (await eve.event())["type"] == "call.ring"


@pytest.mark.parametrize("event", FIRST.values(), ids=FIRST)
async def test_who_made_a_call_here_gets_nothing_of_streams_by_coming_back(gateway, event):
    """Not from history either: neither what came while he watched, nor what was there before."""
    base = f"http://127.0.0.1:{gateway.port}"
    async with stream_client(base, "eve") as eve, aiohttp.ClientSession() as session:
        cursor = await _cursor_beside(session, base, eve)
        await _tell(session, gateway, **event, n="before")
        answer = await eve.ask("POST", PATH, {})
        assert answer.status in {201, 403}  # by some events the call is known
        if answer.status == 201:
            assert (await eve.ask("POST", PATH + "/event", {"custom": {"n": 0}})).status == 201
        first = {"type": "watch", "token": token("eve"), "api_key": KEY, "calls": [CID]}
        heard = await _heard(session, base, {**first, "since": cursor})
        assert [one["custom"] for one in heard] == [{"n": 0}] * (answer.status == 201)
        await _tell(session, gateway, **event, n="after")
        assert await _heard(session, base, {**first, "since": cursor}) == heard * (
            (await eve.ask("GET", PATH)).status == 200
        )


async def _cursor_beside(session, base, client):
    """A cursor of the same shard, from before anything was told of the call."""
    names = (f"default:beside{n}" for n in range(1000))
    beside = next(one for one in names if _shard(one) == _shard(CID))
    kind, _, name = beside.partition(":")
    assert (await client.ask("POST", f"/video/call/{kind}/{name}", {})).status == 201
    async with session.ws_connect(f"{base}/feed") as plain:
        first = {"type": "watch", "token": token(client.user), "api_key": KEY, "calls": [beside]}
        await plain.send_json(first)
        return (await plain.receive_json(timeout=30))["cursor"]


def _shard(cid):
    return keys.shard_of(keys.call_key(KEY, cid))


async def _heard(session, base, first):
    """The events that come to who watches so, up to an answer of ours."""
    async with session.ws_connect(f"{base}/feed") as plain:
        await plain.send_json(first)
        await plain.send_json({"type": "ping"})
        heard = []
        while (said := await plain.receive_json(timeout=30)).get("type") != "pong":
            heard += [said["event"]] if "event" in said else []
        return heard


async def test_where_stream_is_asked_no_call_made_here_lets_anybody_in(tmp_path):
    """Nor one from before it was: whom Stream does not show the call, waits, and sends nothing."""
    settings = {"server": {"drain": "1s"}, "subscribers": []}
    async with (
        running_stream({KEY: SECRET}) as stream,
        running_gateway(tmp_path / "g", **settings) as gateway,
    ):
        await gateway.up()
        base = f"http://127.0.0.1:{gateway.port}"
        async with stream_client(base, "eve") as eve, aiohttp.ClientSession() as session:
            assert (await eve.ask("POST", PATH, {})).status == 201
            await gateway.stop()
            gateway.config["upstream"] = {"url": stream.url, "custom_events": "local"}
            await gateway.start()
            await gateway.up()
            stream.create(KEY, CID, ["kim"])
            async with session.ws_connect(f"{base}/feed") as plain:
                first = {"type": "watch", "token": token("eve"), "api_key": KEY, "calls": [CID]}
                await plain.send_json(first)
                said = await plain.receive_json(timeout=30)
                assert (said["calls"], said["waiting"]) == ([], [CID])
            assert (await eve.ask("POST", PATH + "/event", {"custom": {}})).code == 17


async def test_who_took_a_calls_name_beforehand_hears_nothing_of_streams(gateway):
    """Not he who made a call here that Stream then makes for another, nor whom he named; whom
    Stream names hears on, and so does who has a token that names it.
    """
    base = f"http://127.0.0.1:{gateway.port}"
    async with contextlib.AsyncExitStack() as stack:
        eve, ben, kim, ida = [
            await (await stack.enter_async_context(stream_client(base, name))).connect()
            for name in ("eve", "ben", "kim", "ida")
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        plain = await stack.enter_async_context(session.ws_connect(f"{base}/feed"))
        made = {"data": {"members": [{"user_id": one} for one in ("ben", "kim")]}}
        assert (await eve.ask("POST", PATH, made, watching=True)).status == 201
        ida.token = token("ida", call_cids=[CID])
        await ida.socket.close()
        await ida.connect()
        for one in (ben, kim, ida):
            assert (await one.ask("GET", PATH, watching=True)).status == 200
        first = {"type": "watch", "token": token("ben"), "api_key": KEY, "calls": [CID]}
        await plain.send_json(first)
        assert (await plain.receive_json(timeout=30))["calls"] == [CID]
        call = {"created_at": "2026-12-01T00:00:00Z", "created_by": {"id": "anna"}}
        named = [{"user_id": "kim"}]
        assert (await eve.ask("POST", PATH + "/event", {"custom": {"n": 0}})).status == 201
        await _tell(session, gateway, type="call.created", call=call, members=named)
        await _tell(session, gateway, type="custom", custom={"n": 1})
        for one in (kim, ida):
            told = [(await one.event())["type"] for _ in range(3)]
            assert told == ["custom", "call.created", "custom"]
        for one in (eve, ben):
            assert (await one.event())["custom"] == {"n": 0}
            with pytest.raises(TimeoutError):
                await one.event(within_s=0.3)
        assert (await plain.receive_json(timeout=30))["event"]["custom"] == {"n": 0}
        said = await plain.receive_json(timeout=30)
        assert (said["type"], said["code"], said["calls"]) == ("error", 17, [CID])
        with pytest.raises(asyncio.TimeoutError):
            await plain.receive_json(timeout=0.3)
