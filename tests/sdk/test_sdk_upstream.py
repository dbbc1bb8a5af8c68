"""Stream's SDKs at a gateway that has Stream's API behind it: what only Stream gives, and the feed.

Stream is a stand-in, a real HTTP server with calls, users and media credentials of its own.
"""

import pytest
from drivers import Refused
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_standin import running_stream
from users import API_KEY, SECRET, connected, server

CID = "default:standup"


@pytest.fixture
async def stream():
    async with running_stream({API_KEY: SECRET}) as stream:
        yield stream


@pytest.fixture
async def gateway(tmp_path, stream):
    """Members only, so that what is allowed below is allowed by Stream alone."""
    settings = {"upstream": {"url": stream.url}, "server": {"drain": "1s"}}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        stream.webhook_url = gateway.url
        await gateway.up()
        yield gateway


async def test_users_watch_what_stream_shows_them(gateway, stream, users):
    """Get, GetOrCreate, Join and QueryCalls watch; every event comes once, by Stream's webhook."""
    made = {"members": [{"user_id": name} for name in ("ben", "kim", "zoe")]}
    anna = await connected(users, gateway, "anna")
    await anna.ask("get_or_create", cid=CID, data=made)
    ben, kim, zoe = [await connected(users, gateway, name) for name in ("ben", "kim", "zoe")]
    await ben.ask("get", cid=CID)
    joined = await kim.ask("join", cid=CID)
    assert joined["credentials"]["token"] == "media-token"
    found = await zoe.ask("query", filter={"cid": {"$in": [CID]}}, watch=True)
    assert found["cids"] == [CID]
    await ben.ask("send", cid=CID, events=[{"n": n} for n in range(3)])
    for user in (anna, ben, kim, zoe):
        assert sorted(event["n"] for event in await user.hears(3)) == [0, 1, 2]
    await stream.quiet()  # an event may be here before the answer to its webhook
    assert stream.webhooks == [200, 200, 200]


async def test_what_stream_refuses_the_sdk_is_told(gateway, stream, users):
    """Stream's own code and status reach the application, and nothing is watched."""
    stream.create(API_KEY, CID, ["anna"])
    anna, ben = [await connected(users, gateway, name) for name in ("anna", "ben")]
    await anna.ask("get", cid=CID)
    for do, args in (("get", {}), ("join", {}), ("send", {"events": [{"n": 1}]})):
        with pytest.raises(Refused) as refused:
            await ben.ask(do, cid=CID, **args)
        assert refused.value.code == 17
    await anna.ask("send", cid=CID, events=[{"n": 2}])
    assert await anna.hears(1) == [{"n": 2}]
    assert ben.events == []


async def test_a_restart_is_watched_over(gateway, stream, users):
    """The SDK comes back by itself and has Stream asked again; then it hears on."""
    anna = await connected(users, gateway, "anna")
    await anna.ask("get_or_create", cid=CID)
    await gateway.stop()
    await gateway.start()
    await anna.is_online(times=2)
    await eventually(lambda: stream.requests[-1].target.startswith("/video/calls?"))

    async def heard():  # the SDK does not say when it has watched again
        await anna.ask("send", cid=CID, events=[{"n": 1}])
        return anna.heard

    await eventually(heard, within_s=60)


async def test_servers_use_streams_api(gateway, stream, servers, node_users):
    """node-sdk and getstream make and read calls at Stream; their events reach watchers once."""
    app = await server(servers, gateway)
    data = {"created_by_id": "anna", "custom": {"topic": "Ω"}, "members": [{"user_id": "ben"}]}
    await app.ask("get_or_create", cid=CID, data=data)
    assert stream.calls[API_KEY, CID].custom == {"topic": "Ω"}
    assert (await app.ask("get", cid=CID))["call"]["custom"] == {"topic": "Ω"}
    ben = await connected(node_users, gateway, "ben")
    await ben.ask("get", cid=CID)
    await app.ask("send", cid=CID, user_id="anna", events=[{"n": 1}])
    assert await ben.hears(1) == [{"n": 1}]
