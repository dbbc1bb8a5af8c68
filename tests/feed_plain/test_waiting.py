"""Watching a call before the webhook that names its watcher has come."""

import asyncio
import base64
import contextlib
import json
import secrets

import aiohttp
import pytest
from plain_client import KEY, events, opened, token, watching
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.stream_client import SECRET as STREAM_SECRET
from support.stream_client import stream_client
from support.stream_standin import running_stream

from gateway.event import Meta
from gateway.feed.waiting import MOST, Waiting
from gateway.store.watching.tail import TailEntry

CID = "default:soon"


@pytest.fixture
def feed_defaults():
    return {"access": "members"}


def created(cid=CID, *users):
    return json.dumps(
        {
            "type": "call.created",
            "call_cid": cid,
            "created_at": "2026-12-01T00:00:00Z",
            "nonce": secrets.token_hex(8),
            "call": {"cid": cid, "created_by": {"id": "host"}},
            "members": [{"user_id": user} for user in users],
        }
    ).encode()


async def test_who_waits_is_let_in_when_the_call_names_him(gateway, sender):
    """By WebSocket and as server-sent events; others of the same call wait on."""
    async with (
        watching(gateway, CID) as alice,
        watching(gateway, CID, user="bob") as bob,
        events(gateway, call=CID) as stream,
    ):
        for first in (alice.first, bob.first, (await stream.hear())[0]):
            assert (first["calls"], first["waiting"]) == ([], [CID])
        assert await gateway.metric("gateway_feed_waiting") == 3
        await sender.send(created(CID, "alice"))
        assert "waiting" not in (await alice.hear())
        assert (await stream.hear())[0]["calls"] == [CID]
        await sender.number(call=CID)
        assert await alice.numbers(1) == [0]
        assert (await stream.hear())[0]["event"]["custom"]["n"] == 0
        await sender.send(
            json.dumps(
                {"type": "call.member_added", "call_cid": CID, "members": [{"user_id": "bob"}]}
            ).encode()
        )
        assert (await bob.hear())["calls"] == [CID]
        assert await gateway.metric("gateway_feed_waiting") == 0


async def test_a_call_that_exists_answers_as_one_that_does_not(gateway, sender):
    """Nobody learns from it which calls there are."""
    await sender.send(created("default:theirs", "bob"))
    async with watching(gateway, "default:theirs", user="bob"):
        pass
    answers = []
    for cid in ("default:theirs", "default:nowhere"):
        async with watching(gateway, cid) as socket:
            answers.append({**socket.first, "waiting": len(socket.first["waiting"])})
    assert {one.pop("cursor") for one in answers}
    assert answers[0] == answers[1]


async def test_a_call_that_is_made_here_lets_in_too(gateway):
    """GetOrCreateCall makes no event: who waits is asked again in rounds."""
    async with watching(gateway, CID, "default:other") as alice:
        assert sorted(alice.first["waiting"]) == ["default:other", CID]
        async with stream_client(f"http://127.0.0.1:{gateway.port}", "host") as host:
            made = {"data": {"members": [{"user_id": "alice"}]}}
            assert (await host.ask("POST", "/video/call/default/soon", made)).status == 201
        told = await alice.hear()
        assert (told["calls"], told["waiting"]) == ([CID], ["default:other"])


async def test_a_connection_waits_for_ten_calls(gateway, sender):
    """Those beyond are told to come again, by name; unwatching gives a place back, and so does
    the end of a connection.
    """
    many = [f"default:c{n}" for n in range(12)]
    async with watching(gateway, *many) as alice:
        assert len(alice.first["waiting"]) == 10
        told = await alice.hear()
        assert (told["code"], told["status"], len(told["calls"])) == (9, 429, 2)
        await alice.say(type="unwatch", calls=many[:1])
        assert len((await alice.hear())["waiting"]) == 9
        await alice.say(type="watch", calls=told["calls"][:1])
        assert len((await alice.hear())["waiting"]) == 10
        await sender.send(created(told["calls"][0], "alice"))
        assert (await alice.hear())["calls"] == told["calls"][:1]

    async def nobody_waits():
        return await gateway.metric("gateway_feed_waiting") == 0

    await eventually(nobody_waits)


class Patient:
    """One that waits, and counts how often it is asked."""

    def __init__(self, user):
        self.app, self.user_id, self.asked = "app", user, []

    async def ask_again(self, call_cid):
        self.asked.append(call_cid)


def entry(kind, **content):
    meta = Meta("app", kind, CID, 0, "00")
    return TailEntry(0, (1, 0), 1, meta, json.dumps(content).encode())


async def test_a_process_has_so_many_places_and_no_more():
    """And leaving them gives all back."""
    waiting, many = Waiting(), [Patient(f"u{n}") for n in range(MOST)]
    assert all(waiting.enter(one, CID) for one in many)
    assert not waiting.enter(Patient("late"), CID)
    for one in many:
        waiting.leave(one, [CID])
    assert waiting.taken == 0
    assert waiting.enter(Patient("late"), CID)


async def test_only_whom_an_event_names_is_asked_for():
    """However many wait for a busy call, its events cost what they name."""
    waiting, ann, ben = Waiting(), Patient("ann"), Patient("ben")
    loop = asyncio.create_task(waiting.run())
    for one in (ann, ben):
        waiting.enter(one, CID)
    await eventually(lambda: ann.asked and ben.asked)
    ann.asked.clear()
    ben.asked.clear()
    waiting.heard(entry("call.updated", call={"created_by": {"id": "host"}}))
    waiting.heard(entry("custom", user={"id": "ben"}))
    waiting.heard(entry("call.member_added", members=[{"user_id": "ann"}]))
    await eventually(lambda: ann.asked)
    assert (ann.asked, ben.asked) == ([CID], [])
    loop.cancel()
    await asyncio.wait([loop])


class Hanging(Patient):
    """One whose question nobody answers."""

    async def ask_again(self, call_cid):
        await super().ask_again(call_cid)
        await asyncio.Event().wait()


async def test_whom_an_event_names_waits_for_nobody_else():
    """However many ask for what does not answer, such as Stream: who is named is let in."""
    waiting, ann, many = Waiting(), Patient("ann"), [Hanging(f"u{n}") for n in range(100)]
    waiting.enter(ann, CID)
    loop = asyncio.create_task(waiting.run())
    await eventually(lambda: ann.asked)
    for one in many:
        waiting.enter(one, CID)
    await eventually(lambda: any(one.asked for one in many))
    ann.asked.clear()
    waiting.heard(entry("call.member_added", members=[{"user_id": "ann"}]))
    await eventually(lambda: ann.asked)
    loop.cancel()
    await asyncio.wait([loop])


async def test_with_upstream_stream_is_asked(tmp_path):
    """What Stream shows is watched, though no webhook has told of it; what it does not is waited
    for, and asked again.
    """
    async with contextlib.AsyncExitStack() as stack:
        stream = await stack.enter_async_context(running_stream({KEY: STREAM_SECRET}))
        gateway = await stack.enter_async_context(
            running_gateway(tmp_path / "g", upstream={"url": stream.url})
        )
        await gateway.up()
        stream.create(KEY, "default:shown", ["alice"])
        async with watching(gateway, "default:shown", CID) as alice:
            assert alice.first["calls"] == ["default:shown"]
            assert alice.first["waiting"] == [CID]
            stream.create(KEY, CID, ["alice"])
            assert (await alice.hear())["calls"] == ["default:shown", CID]


async def test_with_upstream_who_came_by_a_ticket_is_asked_for_too(tmp_path):
    """By his own token, which Redis cannot read."""
    async with contextlib.AsyncExitStack() as stack:
        stream = await stack.enter_async_context(running_stream({KEY: STREAM_SECRET}))
        gateway = await stack.enter_async_context(
            running_gateway(tmp_path / "g", upstream={"url": stream.url})
        )
        await gateway.up()
        stream.create(KEY, CID, ["alice"])
        bearer, base = token("alice"), f"http://127.0.0.1:{gateway.port}"
        async with aiohttp.ClientSession(headers={"Authorization": bearer}) as session:
            async with session.post(f"{base}/feed/tickets?api_key={KEY}") as response:
                ticket = (await response.json())["ticket"]
            redis = await gateway.redis()
            (key,) = await redis.keys("gw:ticket:*")
            kept = await redis.get(key)
            await redis.aclose()
            held = base64.b64decode(json.loads(kept)[-1])
            assert len(held) == len(bearer)
            for part in bearer.encode().split(b"."):
                assert part not in held
                assert part not in kept
        query = {"call": [CID, "default:unknown"], "ticket": ticket}
        async with events(gateway, bearer="", **query) as alice:
            first = (await alice.hear())[0]
            assert (first["calls"], first["waiting"]) == ([CID], ["default:unknown"])
        shown = [
            one for one in stream.requests if one.target.startswith("/video/call/default/soon")
        ]
        assert {one.headers["authorization"] for one in shown} == {bearer}
        async with aiohttp.ClientSession() as session:
            url = f"{base}/feed/tickets?api_key={KEY}&ticket={ticket}"
            async with session.post(url) as response:
                assert response.status in {400, 401}


async def test_a_token_that_ends_ends_the_waiting(gateway):
    """Nobody waits for longer than the token is good."""
    async with opened(gateway) as socket:
        said = {"type": "watch", "token": token(lifetime_s=2), "api_key": KEY, "calls": [CID]}
        await socket.say(**said)
        assert (await socket.hear())["waiting"] == [CID]
        assert (await socket.hear())["code"] == 40
        assert await socket.hear() is None
