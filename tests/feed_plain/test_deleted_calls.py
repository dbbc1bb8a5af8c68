"""A call that is deleted: that is the last of it, for everybody; one of its name is another."""

import json
from contextlib import AsyncExitStack

import aiohttp
import pytest
from plain_client import KEY, SECRET, events, opened, token, watching
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import stream_client
from support.stream_client import token as stream_token
from support.webhooks import signed_request

CID, PATH = "default:room", "/video/call/default/room"
CALL = {"cid": CID, "created_by": {"id": "anna"}, "created_at": "2026-11-20T10:00:00Z"}


@pytest.fixture
async def gateway(tmp_path):
    settings = {"server": {"drain": "1s"}, "feed": {"ping_interval": "10m"}, "subscribers": []}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()
        yield gateway


async def tell(gateway, kind, cid=CID, **more):
    body = json.dumps({"type": kind, "call_cid": cid, **more}).encode()
    async with aiohttp.ClientSession() as session:
        headers = signed_request(body, SECRET, KEY)
        async with session.post(gateway.url, data=body, headers=headers) as response:
            assert response.status == 200


async def create(gateway, *members, number=0):
    named = [{"user_id": one} for one in members]
    await tell(gateway, "call.created", call=CALL, members=named, number=number)


async def may_watch(client):
    return (await client.ask("GET", PATH, watching=True)).status == 200


async def test_the_deletion_is_the_last(gateway):
    """On both protocols, by whichever right somebody watched; other calls go on."""
    base = f"http://127.0.0.1:{gateway.port}"
    await create(gateway, "ben")
    await tell(gateway, "call.created", "default:other", call=CALL, members=[{"user_id": "ben"}])
    async with AsyncExitStack() as stack:
        anna = await stack.enter_async_context(stream_client(base, "anna"))
        ida = await stack.enter_async_context(stream_client(base, "ida"))
        ida.token = token("ida", call_cids=[CID])
        for one in (anna, ida):
            await one.connect()
            await eventually(lambda one=one: may_watch(one))
        plain = [
            await stack.enter_async_context(one)
            for one in (
                watching(gateway, CID, user="ben"),
                watching(gateway, CID, "default:other", user="ben"),
                watching(gateway, CID, user="ben", types=["c*"]),
                watching(gateway, CID, user="ida", token=ida.token),
                watching(gateway, CID, token=stream_token(None)),
            )
        ]
        stream = await stack.enter_async_context(events(gateway, bearer=token("ben"), call=CID))
        assert (await stream.hear())[0]["calls"] == [CID]
        await tell(gateway, "call.deleted", call=CALL)
        await create(gateway, "kim", number=1)
        await tell(gateway, "custom", "default:other", custom={"n": 7})
        for one in (anna, ida):
            assert (await one.event())["type"] == "call.deleted"
        for one in plain:
            assert (await one.hear())["event"]["type"] == "call.deleted"
            said = await one.hear()
            assert (said["code"], said["status"], said["calls"]) == (16, 404, [CID])
        assert await plain[1].numbers(1) == [7]
        assert (await stream.hear())[0]["event"]["type"] == "call.deleted"
        assert (await stream.hear())[0]["code"] == 16
        for one in plain:  # nothing was in between
            await one.say(type="ping")
            assert (await one.hear())["type"] == "pong"
        # Nor here: not of the new call, though anna made that too.
        ring = {"members": [{"user_id": "ida"}, {"user_id": "anna"}]}
        await tell(gateway, "call.ring", "default:next", **ring)
        for one in (anna, ida):
            assert (await one.event())["type"] == "call.ring"


async def test_a_call_of_the_same_name_begins_anew(gateway):
    """Its members watch it, also those who waited for it; members of the old one do not."""
    base = f"http://127.0.0.1:{gateway.port}"
    await create(gateway, "ben", "kim")
    async with (
        stream_client(base, "ben") as ben,
        watching(gateway, CID, user="kim") as kim,
        watching(gateway, CID, user="ben") as plain,
    ):
        await ben.connect()
        assert await may_watch(ben)
        await tell(gateway, "call.deleted")
        for one in (kim, plain):
            assert (await one.hear())["event"]["type"] == "call.deleted"
            assert (await one.hear())["code"] == 16
            await one.say(type="watch", calls=[CID])
            assert (await one.hear())["waiting"] == [CID]
        assert not await may_watch(ben)
        await create(gateway, "kim", number=1)
        assert (await kim.hear())["calls"] == [CID]
        await tell(gateway, "custom", custom={"n": 1})
        assert await kim.numbers(1) == [1]
        assert not await may_watch(ben)
        await plain.say(type="ping")
        assert (await plain.hear())["type"] == "pong"
        assert [(await ben.event())["type"] for _ in range(1)] == ["call.deleted"]


async def test_who_comes_back_hears_nothing_of_the_old_call(gateway):
    """A cursor leads no further back than the call does that names its bearer."""
    await create(gateway, "ben", "kim")
    async with watching(gateway, CID, user="ben") as ben:
        since = ben.cursor
        await tell(gateway, "custom", custom={"n": 1})
        assert await ben.numbers(1) == [1]
    async with watching(gateway, CID, token=stream_token(None)) as server:
        await tell(gateway, "call.deleted")
        assert (await server.hear())["event"]["type"] == "call.deleted"
        assert (await server.hear())["code"] == 16
        await server.say(type="watch", calls=[CID])
        assert (await server.hear())["calls"] == [CID]
        await create(gateway, "ben", number=1)
        await tell(gateway, "custom", custom={"n": 2})
        assert (await server.hear())["event"]["type"] == "call.created"
        assert await server.numbers(1) == [2]  # all of it has come so far
    async with opened(gateway) as ben:
        first = {"type": "watch", "token": token("ben"), "api_key": KEY, "calls": [CID]}
        await ben.say(**first, since=since)
        assert (await ben.hear())["recovered"] is True
        assert (await ben.hear())["event"]["type"] == "call.created"
        assert await ben.numbers(1) == [2]
