"""What Stream signs reaches its own SDKs as it was sent."""

import asyncio
import json
from functools import partial

import aiohttp
import orjson
from support.eventually import eventually
from support.webhooks import sample_bodies, signed_request
from users import API_KEY, connected, root_url, user_token


def by_call() -> dict[str, list[bytes]]:
    """The samples' bodies that name a call, by that call."""
    calls: dict[str, list[bytes]] = {}
    for body in sample_bodies().values():
        if cid := orjson.loads(body).get("call_cid"):
            calls.setdefault(cid, []).append(body)
    return calls


async def _post(gateway, bodies):
    async with aiohttp.ClientSession() as session:
        for body in bodies:
            async with session.post(gateway.url, data=body, headers=signed_request(body)) as answer:
                assert answer.status == 200


async def test_every_sample_through_the_sdk(gateway, users):
    """Webhook in, journal, Redis, socket, SDK: each event as JSON equals what was signed."""
    calls = by_call()
    alice = await connected(users, gateway, "alice")
    for cid in calls:
        await alice.ask("get_or_create", cid=cid)
    sent = [body for bodies in calls.values() for body in bodies]
    assert len(sent) >= 18
    await _post(gateway, sent)
    for cid, bodies in calls.items():
        await eventually(partial(_got_all, alice, cid, len(bodies)), within_s=60)
        got = [event for event in alice.events if event["call_cid"] == cid]
        assert [_numbers(event) for event in got] == [_numbers(orjson.loads(one)) for one in bodies]


def _got_all(client, cid, count):
    return sum(event["call_cid"] == cid for event in client.events) >= count


def _numbers(event):
    """As JavaScript has them: a time in nanoseconds is beyond what it counts exactly."""
    return json.loads(json.dumps(event), parse_int=float)


async def test_every_sample_byte_for_byte(gateway):
    """On the wire each text frame is the body that was signed, every byte of it."""
    calls = by_call()
    token = user_token("alice")
    socket_url = f"ws://127.0.0.1:{gateway.port}/video/connect?api_key={API_KEY}"
    headers = {"Authorization": token, "stream-auth-type": "jwt"}
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.ws_connect(f"{socket_url}&stream-auth-type=jwt") as socket:
            await socket.send_json({"token": token, "user_details": {"id": "alice"}})
            hello = await socket.receive_json(timeout=30)
            assert hello["type"] == "connection.ok"
            query = {
                "api_key": API_KEY,
                "connection_id": hello["connection_id"],
                "user_id": "alice",
            }
            for cid in calls:
                url = f"{root_url(gateway)}/video/call/{cid.replace(':', '/')}"
                async with session.post(url, params=query) as answer:
                    assert answer.status == 201, await answer.text()
            sent = [body for bodies in calls.values() for body in bodies]
            await _post(gateway, sent)
            got = await _frames(socket, len(sent))
    for bodies in calls.values():
        assert [body for body in got if body in bodies] == bodies
    assert sorted(got) == sorted(sent)


async def _frames(socket, count):
    """The next `count` text frames but health checks."""
    frames: list[bytes] = []
    async with asyncio.timeout(60):
        while len(frames) < count:
            frame = await socket.receive()
            assert frame.type is aiohttp.WSMsgType.TEXT, frame
            if b'"health.check"' not in (content := frame.data.encode()):
                frames.append(content)
    return frames


async def test_nothing_is_heard_of_calls_that_one_does_not_watch(gateway, node_users):
    """Not even of the call that somebody else on the same machine watches."""
    alice, bob = [await connected(node_users, gateway, name) for name in ("alice", "bob")]
    await alice.ask("get_or_create", cid="default:a")
    await bob.ask("get_or_create", cid="default:b")
    await alice.ask("send", cid="default:a", events=[{"n": 1}])
    await bob.ask("send", cid="default:b", events=[{"n": 2}])
    assert (await alice.hears(1), await bob.hears(1)) == ([{"n": 1}], [{"n": 2}])
