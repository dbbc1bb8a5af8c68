"""The plain feed on real sockets, in front of the real gateway: what comes, and what is replayed."""

import asyncio
import os
import random

import orjson
import pytest
from plain_client import CALL, events, watching
from support.webhooks import distinct_event, sample_bodies

LONG = bool(os.environ.get("GATEWAY_LONG"))


async def test_whoever_watches_gets_what_comes(gateway, sender):
    """Events of a watched call come in order, each once, with a cursor; others do not."""
    async with watching(gateway) as socket:
        assert socket.first["calls"] == [CALL]
        assert socket.first["recovered"] is None
        await sender.send(distinct_event(7, "default:other"))
        await sender.send(distinct_event(8, CALL), key="other-key", secret="second-secret")
        await sender.number(20)
        assert await socket.numbers(20) == list(range(20))
        assert socket.cursor != socket.first["cursor"]


async def test_a_body_stands_in_its_message_as_it_was_signed(gateway, sender):
    """What a socket brings has the signed bytes in it, for every sample."""
    bodies = [body for body in sample_bodies().values() if b'"call_cid"' in body]
    calls = sorted({orjson.loads(body)["call_cid"] for body in bodies})
    async with watching(gateway, *calls) as socket:
        for body in bodies:
            await sender.send(body)
        got = []
        while len(got) < len(bodies):
            message = (await socket.raw.receive(timeout=30)).data.encode()
            if b'","event":' in message:
                got.append(message.split(b'","event":', 1))
    assert sorted(event for _, event in got) == sorted(body + b"}" for body in bodies)
    assert all(head.startswith(b'{"cursor":"') for head, _ in got)


async def test_an_indented_body_survives_server_sent_events(gateway, sender):
    """Line ends between tokens do not break an event in two."""
    body = orjson.dumps(
        {"type": "custom", "call_cid": CALL, "custom": {}}, option=orjson.OPT_INDENT_2
    )
    async with events(gateway, call=CALL) as stream:
        await stream.hear()
        await sender.send(body)
        message, _ = await stream.hear()
        assert message["event"] == orjson.loads(body)


async def test_types_are_filtered(gateway, sender):
    """Only events whose type matches a glob come."""
    ended = orjson.dumps({"type": "call.ended", "call_cid": CALL, "custom": {"n": -1}})
    async with watching(gateway, types=["call.*"]) as socket:
        await sender.number(3)
        await sender.send(ended)
        assert await socket.numbers(1) == [-1]


async def test_many_calls_and_a_change_of_mind(gateway, sender):
    """Calls are added and taken away on an open connection."""
    others = [f"default:many-{n}" for n in range(20)]
    async with watching(gateway, *others) as socket:
        for call in others:
            await sender.number(call=call)
        # Each call has an order, all of them together have none.
        assert sorted(await socket.numbers(20)) == list(range(20))
        await socket.say(type="unwatch", calls=others[1:])
        assert (await socket.hear())["calls"] == others[:1]
        await socket.say(type="watch", calls=[CALL])
        assert (await socket.hear())["calls"] == sorted([others[0], CALL])
        await sender.number(call=others[5])
        await sender.number(call=CALL)
        await sender.number(call=others[0])
        assert sorted(await socket.numbers(2)) == [21, 22]


async def test_what_was_missed_is_replayed(gateway, sender):
    """A cursor brings all that came after it, then what is live, without a gap or a duplicate."""
    async with watching(gateway) as socket:
        await sender.number(5)
        assert await socket.numbers(5) == [0, 1, 2, 3, 4]
        cursor = socket.cursor
    await sender.number(300)
    async with watching(gateway, since=cursor) as socket:
        assert socket.first["recovered"] is True
        assert await socket.numbers(300) == list(range(5, 305))
        await sender.number(3)
        assert await socket.numbers(3) == [305, 306, 307]


async def test_server_sent_events_replay_too(gateway, sender):
    """`since` and Last-Event-ID say where to go on; the ids are the cursors."""
    async with events(gateway, call=CALL, type="cust*") as stream:
        assert stream.response.status == 200
        assert stream.response.content_type == "text/event-stream"
        first, _ = await stream.hear()
        assert first["type"] == "watching"
        await sender.number(3)
        for number in range(3):
            message, last = await stream.hear()
            assert message["event"]["custom"]["n"] == number
            assert message["cursor"] == last
    await sender.number(3)
    async with events(gateway, call=CALL, since=last) as stream:
        assert (await stream.hear())[0]["recovered"] is True
        assert [(await stream.hear())[0]["event"]["custom"]["n"] for _ in range(3)] == [3, 4, 5]
    headers = {"Last-Event-ID": stream.id}
    await sender.number()
    async with events(gateway, call=CALL, since=last, headers=headers) as stream:
        assert (await stream.hear())[0]["recovered"] is True
        assert (await stream.hear())[0]["event"]["custom"]["n"] == 6


async def test_the_state_of_a_call_comes_first_if_asked(gateway, sender):
    """A snapshot follows the answer to the watch, before any event."""
    async with watching(gateway, snapshot=True) as socket:
        said = await socket.hear()
        assert (said["type"], said["call_cid"]) == ("snapshot", CALL)
        assert "state" in said


class TestPings:
    @pytest.fixture
    def settings(self):
        return {"feed": {"ping_interval": "3s"}}  # in which an answer must have come

    async def test_pings_show_that_it_lives(self, gateway):
        """An idle watcher hears a ping in every interval, and may ask for one."""
        async with watching(gateway) as socket, events(gateway, call=CALL) as stream:
            await stream.hear()
            said = orjson.loads((await socket.raw.receive(timeout=30)).data)
            assert said["type"] == "ping"
            await socket.say(type="ping")
            assert (await socket.hear())["type"] == "pong"
            lines = [await stream.response.content.readline() for _ in range(3)]
            assert lines[0] == b": ping\n"
            assert lines[1].startswith(b"id: ")
            assert lines[2] == b"\n"


@pytest.mark.timeout(600)
async def test_cut_anywhere_under_load_nothing_is_missed(gateway, sender):
    """Cut at random points and resumed, again and again: every number comes once, in order."""
    sending = asyncio.create_task(sender.keep_sending())
    got, cursor = [], None
    for _ in range(1000 if LONG else 200):
        async with watching(gateway, **({"since": cursor} if cursor else {})) as socket:
            assert socket.first["recovered"] is (True if cursor else None)
            got += await socket.numbers(random.randrange(1, 12))
            cursor = socket.cursor
            socket.cut()
    sending.cancel()
    assert got == list(range(got[0], got[0] + len(got)))
