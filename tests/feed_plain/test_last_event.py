"""Who is removed from a call, or blocked: the event that says so is the last of it that he hears."""

import asyncio
import json

import pytest
from plain_client import KEY, SECRET, events, opened, token
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import stream_client
from support.stream_standin import running_stream
from support.webhooks import signed_request

from gateway.store import keys

CID, PATH = "default:room", "/video/call/default/room"
CALL = {"cid": CID, "created_by": {"id": "anna"}, "created_at": "2026-11-20T10:00:00Z"}
REMOVED = {"type": "call.member_removed", "members": ["ben"]}
BLOCKED = {"type": "call.blocked_user", "user": {"id": "ben"}}
# As Stream sends it, with the call; and without, where the state has to be asked who made it.
LEAVING = {
    "removed": {**REMOVED, "call": CALL},
    "removed, no call told": REMOVED,
    "removed, an odd call": {**REMOVED, "call": {"created_by": None, "x": [1]}},
    "blocked": {**BLOCKED, "call": CALL},
    "blocked, no call told": BLOCKED,
    "removed, half an emoji": {**REMOVED, "call": {**CALL, "custom": {"cut": "\ud83d"}}},
    "blocked, half an emoji": {**BLOCKED, "user": {"id": "ben", "name": "\ud83d"}},
}


@pytest.fixture
async def gateway(tmp_path):
    feed = {"ping_interval": "10m", "outbox": "8MiB"}
    settings = {"server": {"drain": "1s"}, "feed": feed, "subscribers": []}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()
        yield gateway


async def tell(gateway, *contents):
    """Send webhooks in one write, so that they are published, and read, together."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    for content in contents:
        body = json.dumps({"call_cid": CID, **content}).encode()
        headers = {**signed_request(body, SECRET, KEY), "Host": "x", "Content-Length": len(body)}
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
        writer.write(f"POST /webhooks/stream HTTP/1.1\r\n{lines}\r\n".encode() + body)
    for _ in contents:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200"), head
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        await reader.readexactly(length)
    writer.close()


def said(n):
    return {"type": "custom", "custom": {"n": n}}


async def begin(gateway, anna):
    """Have Stream tell of a call of anna's, which she watches."""
    await anna.connect()
    members = [{"user_id": "ben"}, {"user_id": "kim"}]
    await tell(gateway, {"type": "call.created", "call": CALL, "members": members})
    await eventually(lambda: _watches(anna))
    await tell(gateway, said("begun"))
    while (await anna.event()).get("custom") != {"n": "begun"}:
        pass


async def _watches(client):
    return (await client.ask("GET", PATH, watching=True)).status == 200


def first(user="ben", **more):
    return {"type": "watch", "token": token(user), "api_key": KEY, "calls": [CID], **more}


async def sdk_hears(client):
    """All that an SDK's socket hears up to a call of its own, which it is let watch again."""
    heard = []
    while (event := await client.event())["type"] != "call.ring":
        heard.append(event)
    return heard


@pytest.mark.parametrize("leaving", LEAVING.values(), ids=LEAVING)
async def test_nothing_of_the_same_batch_comes_behind_it(gateway, leaving):
    """On Stream's protocol, by WebSocket alone, among other calls and by types, and as server-sent
    events; all others hear everything, in order.
    """
    base = f"http://127.0.0.1:{gateway.port}"
    async with (
        stream_client(base, "anna") as anna,
        stream_client(base, "ben") as ben,
        opened(gateway) as alone,
        opened(gateway) as choosy,
        opened(gateway) as other,
        events(gateway, bearer=token("ben"), call=CID) as stream,
    ):
        await begin(gateway, anna)
        await ben.connect()
        assert (await ben.ask("GET", PATH, watching=True)).status == 200
        await alone.say(**first())
        await choosy.say(**first(types=["c*"]))
        await other.say(**first("kim"))
        for one in (alone, choosy, other):
            assert (await one.hear())["type"] == "watching"
        while (await stream.hear())[0].get("calls") != [CID]:
            pass
        later = [said(n) for n in range(2, 22)]
        await tell(gateway, said(1), leaving, *later)
        for one in (alone, choosy):
            assert await one.numbers(1) == [1]
            assert (await one.hear())["event"]["type"] == leaving["type"]
            refused = await one.hear()
            assert (refused["code"], refused["calls"]) == (17, [CID])
        while (heard := (await stream.hear())[0])["event"].get("custom") == {"n": "begun"}:
            pass  # it waited for the call, and was let in with its making
        assert heard["event"]["custom"]["n"] == 1
        assert (await stream.hear())[0]["event"]["type"] == leaving["type"]
        assert (await stream.hear())[0]["code"] == 17
        assert (await ben.event())["custom"]["n"] == 1
        assert (await ben.event())["type"] == leaving["type"]
        assert await other.numbers(1) == [1]
        assert (await other.hear())["event"]["type"] == leaving["type"]
        assert await other.numbers(20) == list(range(2, 22))
        heard = [await anna.event() for _ in range(22)]
        assert [one.get("custom", {}).get("n") for one in heard] == [1, None, *range(2, 22)]
        # Of another call they hear at once, and of this one nothing was in between.
        ring = {"type": "call.ring", "call_cid": "default:next", "members": [{"user_id": "ben"}]}
        await tell(gateway, ring)
        assert await sdk_hears(ben) == []
        for one in (alone, choosy):
            await one.say(type="ping")
            assert (await one.hear())["type"] == "pong"


async def test_who_made_the_call_hears_on(gateway):
    """Removed as a member he is its creator still: nothing of the batch is lost to him, though
    the event does not say who he is. By WebSocket alone he comes back, and goes on from there.
    """
    base = f"http://127.0.0.1:{gateway.port}"
    removed = {"type": REMOVED["type"], "members": ["ben", "anna"]}
    async with stream_client(base, "anna") as anna, opened(gateway) as plain:
        await begin(gateway, anna)
        await plain.say(**first("anna"))
        assert (await plain.hear())["type"] == "watching"
        await tell(gateway, said(1), removed, *[said(n) for n in range(2, 22)])
        heard = [await anna.event() for _ in range(22)]
        assert [one.get("custom", {}).get("n") for one in heard] == [1, None, *range(2, 22)]
        assert await plain.numbers(1) == [1]
        assert (await plain.hear())["event"]["type"] == removed["type"]
        assert await plain.hear() is None
        assert plain.raw.close_code == 1013
        async with opened(gateway) as again:
            await again.say(**first("anna", since=plain.cursor))
            assert (await again.hear())["recovered"] is True
            assert await again.numbers(20) == list(range(2, 22))


async def test_a_call_token_outlasts_a_removal_and_no_block(gateway):
    """It names the call, so its bearer needs be no member; who is blocked is shut out."""
    base = f"http://127.0.0.1:{gateway.port}"
    granted = {"token": token("ben", call_cids=[CID])}
    async with stream_client(base, "anna") as anna, opened(gateway) as plain:
        await begin(gateway, anna)
        await plain.say(**first(**granted))
        assert (await plain.hear())["type"] == "watching"
        await tell(gateway, LEAVING["removed"], REMOVED, said(1), BLOCKED, said(2))
        for _ in range(2):
            assert (await plain.hear())["event"]["type"] == REMOVED["type"]
        assert await plain.numbers(1) == [1]
        assert (await plain.hear())["event"]["type"] == BLOCKED["type"]
        assert (await plain.hear())["code"] == 17
        await plain.say(type="ping")
        assert (await plain.hear())["type"] == "pong"


async def hold_keeper(gateway):
    """Have another keep the states of calls, who does nothing."""
    redis = await gateway.redis()
    for shard in range(keys.SHARDS):
        name = keys.subscription(shard, keys.CALL_KEEPER)
        fields = {"token": 2**50, "holder": "another", "expires_ms": 2**41}
        await redis.hset(name, mapping=fields)
    seconds, micros = await redis.time()
    until = int(seconds * 1000 + micros // 1000 + 100_000)
    for shard in range(keys.SHARDS):
        await redis.hset(keys.subscription(shard, keys.CALL_KEEPER), "expires_ms", until)
    return redis


async def let_go(redis):
    for shard in range(keys.SHARDS):
        await redis.hset(keys.subscription(shard, keys.CALL_KEEPER), "expires_ms", 0)
    await redis.aclose()


@pytest.mark.parametrize("kind", ["removed", "blocked", "removed, half an emoji"])
async def test_it_is_the_last_while_the_states_of_calls_stand_still(gateway, kind):
    """Nor does who comes back hear more, on either protocol: neither asks a state that is behind."""
    leaving = LEAVING[kind]
    base = f"http://127.0.0.1:{gateway.port}"
    async with (
        stream_client(base, "anna") as anna,
        stream_client(base, "ben") as ben,
        opened(gateway) as plain,
    ):
        await begin(gateway, anna)
        await ben.connect()
        assert (await ben.ask("GET", PATH, watching=True)).status == 200
        await plain.say(**first())
        assert (await plain.hear())["type"] == "watching"
        redis = await hold_keeper(gateway)
        await tell(gateway, leaving, said(1))
        assert (await plain.hear())["event"]["type"] == leaving["type"]
        assert (await plain.hear())["code"] == 17
        assert (await ben.event())["type"] == leaving["type"]
        assert (await ben.ask("GET", PATH, watching=True)).code == 17
        assert (await ben.ask("POST", PATH + "/event", {"custom": {}})).code == 17
        query = {"filter_conditions": {"cid": {"$in": [CID]}}, "watch": True}
        assert (await ben.ask("POST", "/video/calls", query, watching=True)).json["calls"] == []
        async with opened(gateway) as again:
            await again.say(**first(since=plain.cursor))
            told = await again.hear()
            assert (told["calls"], told["waiting"]) == ([], [CID])
            await tell(gateway, said(2))
            assert [await anna.event() for _ in range(3)][-1]["custom"] == {"n": 2}
            await again.say(type="ping")
            assert (await again.hear())["type"] == "pong"
            # Taken in again he hears on, though no state says so yet.
            back = {"type": "call.unblocked_user", "user": {"id": "ben"}}
            added = {"type": "call.member_added", "members": [{"user_id": "ben"}]}
            await tell(gateway, back if kind == "blocked" else added)
            assert (await again.hear())["calls"] == [CID]
            await tell(gateway, said(3))
            assert await again.numbers(1) == [3]
        await let_go(redis)
        await eventually(lambda: _is_named(gateway))
    assert (await gateway.settled())["balanced"]


async def test_where_all_may_watch_a_block_shuts_out(tmp_path):
    """And a removal does not: everybody may watch, members or not."""
    settings = {"server": {"drain": "1s"}, "feed": {"access": "any"}, "subscribers": []}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()
        async with opened(gateway) as plain:
            await plain.say(**first())
            assert (await plain.hear())["type"] == "watching"
            await tell(gateway, REMOVED, said(1), BLOCKED, said(2))
            assert (await plain.hear())["event"]["type"] == REMOVED["type"]
            assert await plain.numbers(1) == [1]
            assert (await plain.hear())["event"]["type"] == BLOCKED["type"]
            assert (await plain.hear())["code"] == 17
            await plain.say(type="ping")
            assert (await plain.hear())["type"] == "pong"


async def test_with_upstream_it_is_the_last_too(tmp_path):
    """Whom Stream has shown the call; whom it shows the call again hears on."""
    async with running_stream({KEY: SECRET}) as stream:
        settings = {"server": {"drain": "1s"}, "upstream": {"url": stream.url}, "subscribers": []}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            await gateway.up()
            stream.create(KEY, CID, ["ben", "kim"])
            base = f"http://127.0.0.1:{gateway.port}"
            async with (
                stream_client(base, "ben") as ben,
                opened(gateway) as plain,
                opened(gateway) as other,
            ):
                await other.say(**first("kim"))
                assert (await other.hear())["calls"] == [CID]
                await ben.connect()
                assert (await ben.ask("GET", PATH, watching=True)).status == 200
                await plain.say(**first())
                assert (await plain.hear())["calls"] == [CID]
                await tell(gateway, LEAVING["removed"], said(1))
                assert (await plain.hear())["event"]["type"] == REMOVED["type"]
                assert (await plain.hear())["code"] == 17
                assert (await ben.event())["type"] == REMOVED["type"]
                assert (await other.hear())["event"]["type"] == REMOVED["type"]
                assert await other.numbers(1) == [1]
                assert (await ben.ask("GET", PATH, watching=True)).status == 200
                await tell(gateway, said(2))
                assert (await ben.event())["custom"] == {"n": 2}
                await plain.say(type="ping")
                assert (await plain.hear())["type"] == "pong"


async def test_an_answer_of_streams_that_was_overtaken_lets_nobody_in(tmp_path):
    """Who asked before his removal, and is answered after it, does not watch."""
    async with running_stream({KEY: SECRET}) as stream:
        settings = {"server": {"drain": "1s"}, "upstream": {"url": stream.url}, "subscribers": []}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            await gateway.up()
            stream.create(KEY, CID, ["ben", "kim"])
            base = f"http://127.0.0.1:{gateway.port}"
            async with stream_client(base, "ben") as ben, opened(gateway) as other:
                await other.say(**first("kim"))
                assert (await other.hear())["calls"] == [CID]
                await ben.connect()
                seen = len(stream.requests)
                async with stream.hanging():
                    asking = asyncio.create_task(ben.ask("GET", PATH, watching=True))
                    await eventually(lambda: _more_than(stream.requests, seen))
                    await tell(gateway, LEAVING["removed"])
                    assert (await other.hear())["event"]["type"] == REMOVED["type"]
                assert (await asking).code == 17
                assert (await ben.ask("GET", PATH, watching=True)).status == 200


async def _more_than(requests, count):
    return len(requests) > count


async def _is_named(gateway):
    redis = await gateway.redis()
    key = keys.call_key(KEY, CID)
    named = await redis.hget(keys.call_users(keys.shard_of(key), key), "ben")
    await redis.aclose()
    return named is not None and named.startswith(b"m")


async def test_a_blocked_member_is_not_rung(gateway):
    """He is still a member, so events name him; a call that has blocked him calls others."""
    base = f"http://127.0.0.1:{gateway.port}"
    async with stream_client(base, "ben") as ben, stream_client(base, "kim") as kim:
        for one in (ben, kim):
            await one.connect()  # and watch something: from then on nothing is missed
            own = f"/video/call/default/{one.user}"
            assert (await one.ask("POST", own, {}, watching=True)).status == 201
        members = [{"user_id": "ben"}, {"user_id": "kim"}]
        ring = {"type": "call.ring", "members": members}
        blocking = {**ring, "call": {**CALL, "blocked_user_ids": ["ben"]}, "n": 1}
        await tell(gateway, BLOCKED, ring, blocking)
        assert [(await kim.event())["type"] for _ in range(2)] == ["call.ring"] * 2
        await tell(gateway, {"type": "call.ring", "call_cid": "default:x", "members": members})
        assert (await ben.event())["call_cid"] == "default:x"


async def test_no_snapshot_comes_behind_it(gateway):
    """Though its reader stood still when he was removed, with others' states before that one."""
    big = [f"default:big{n}" for n in range(24)]
    anna, members = {"created_by": {"id": "anna"}}, [{"user_id": "ben"}, {"user_id": "kim"}]
    large = {**anna, "custom": {"much": "x" * 900_000}}
    for cid in big:
        created = {"type": "call.created", "call_cid": cid, "call": large, "members": members}
        await tell(gateway, created)
    await tell(gateway, {"type": "call.created", "call": CALL, "members": members})
    async with stream_client(f"http://127.0.0.1:{gateway.port}", "kim") as kim:
        for cid in (*big, CID):
            path = f"/video/call/{cid.replace(':', '/')}"
            await eventually(lambda path=path: _is_shown(kim, path), within_s=60)
    async with opened(gateway) as other, opened(gateway, max_msg_size=0) as slow:
        await other.say(**first("kim"))
        assert (await other.hear())["calls"] == [CID]
        transport = slow.raw._response.connection.transport
        transport.pause_reading()
        await slow.say(**{**first(snapshot=True), "calls": [*big, CID]})
        await eventually(lambda: watched_calls(gateway, 25))
        later = {"type": "call.updated", "call": {**CALL, "custom": {"secret": 1}}}
        await tell(gateway, LEAVING["removed"], later)
        assert (await other.hear())["event"]["type"] == REMOVED["type"]
        assert (await other.hear())["event"]["type"] == later["type"]
        transport.resume_reading()
        heard = [await slow.hear()]
        while heard[-1].get("code") != 17:
            heard.append(await slow.hear())
        told = [one["call_cid"] for one in heard if one.get("type") == "snapshot"]
        assert told == big
        assert heard[-2]["event"]["type"] == REMOVED["type"]


async def _is_shown(client, path):
    return (await client.ask("GET", path)).status == 200


async def watched_calls(gateway, count):
    return await gateway.metric("gateway_feed_calls") == count


RIGHTS = {"any": ({"access": "any"}, {}), "call token": ({}, {"call_cids": [CID]})}


@pytest.mark.parametrize(("feed", "claims"), RIGHTS.values(), ids=RIGHTS)
async def test_a_block_is_the_last_by_whichever_right_somebody_watches(tmp_path, feed, claims):
    """Also one that no `call.blocked_user` brings; one that is told late, and over, is none."""
    settings = {"server": {"drain": "1s"}, "feed": feed, "subscribers": []}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()
        base = f"http://127.0.0.1:{gateway.port}"
        async with opened(gateway) as plain, stream_client(base, "ben") as ben:
            ben.token = token("ben", **claims)
            made = {"type": "call.updated", "created_at": "2026-12-01T00:00:05Z", "call": CALL}
            await tell(gateway, made)
            await ben.connect()
            await eventually(lambda: _watches(ben))
            blocking = {**made, "call": {**CALL, "blocked_user_ids": ["ben"]}}
            await tell(gateway, {**blocking, "created_at": "2026-12-01T00:00:01Z"}, said(0))
            assert [(await ben.event())["type"] for _ in range(2)] == [made["type"], "custom"]
            await plain.say(**first(token=ben.token))
            assert (await plain.hear())["calls"] == [CID]
            await tell(gateway, {**blocking, "created_at": "2026-12-01T00:00:06Z"}, said(1))
            assert (await plain.hear())["event"]["type"] == made["type"]
            assert (await plain.hear())["code"] == 17
            assert (await ben.event())["type"] == made["type"]
            ring = {"type": "call.ring", "call_cid": "default:n", "members": [{"user_id": "ben"}]}
            await tell(gateway, ring)
            assert await sdk_hears(ben) == []
            await plain.say(type="ping")
            assert (await plain.hear())["type"] == "pong"
