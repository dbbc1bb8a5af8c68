"""The plain feed on real sockets, in front of the real gateway."""

import asyncio
import os
import random

import aiohttp
import orjson
import pytest
from plain_client import CALL, KEY, events, opened, token, watching
from support.webhooks import distinct_event, sample_bodies

LONG = bool(os.environ.get("GATEWAY_LONG"))
URL = "http://127.0.0.1:{}{}"


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
            message = (await socket.raw.receive(timeout=10)).data.encode()
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


async def test_pings_show_that_it_lives(gateway):
    """An idle watcher hears a ping in every interval, and may ask for one."""
    async with watching(gateway) as socket:
        said = orjson.loads((await socket.raw.receive(timeout=5)).data)
        assert said["type"] == "ping"
        await socket.say(type="ping")
        assert (await socket.hear())["type"] == "pong"
    async with events(gateway, call=CALL) as stream:
        await stream.hear()
        lines = [await stream.response.content.readline() for _ in range(3)]
        assert lines[0] == b": ping\n"
        assert lines[1].startswith(b"id: ")
        assert lines[2] == b"\n"


# ---- who asks


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "{}"},
        {"Authorization": "Bearer {}"},
        {"Sec-WebSocket-Protocol": "gateway.feed.v1, token.{}"},
    ],
)
async def test_a_token_comes_in_a_header_or_a_subprotocol(gateway, sender, headers):
    """Then the calls may stand in the address, and nothing need be said."""
    headers = {name: text.format(token()) for name, text in headers.items()}
    async with opened(gateway, f"/feed?api_key={KEY}&call={CALL}", headers=headers) as socket:
        assert (await socket.hear())["type"] == "watching"
        await sender.number()
        assert await socket.numbers(1) == [0]
        chosen = socket.raw._response.headers.get("Sec-WebSocket-Protocol")
        assert chosen == ("gateway.feed.v1" if "Sec-WebSocket-Protocol" in headers else None)


async def refused(socket, code):
    said = await socket.hear()
    assert said is not None
    assert (said["type"], said["code"]) == ("error", code), said
    assert await socket.hear() is None
    assert socket.raw.close_code not in (None, 1000, 1006)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"token": "x.y.z"}, None),
        ({"token": token(secret="wrong")}, 43),
        ({"token": token(lifetime_s=-60)}, 40),
        ({"token": None}, None),
        ({"api_key": "nobody"}, 2),
        ({"token": token(call_cids=["default:another"])}, 17),
        ({"calls": ["nonsense"]}, 4),
        ({"calls": []}, 4),
        ({"types": []}, 4),
        ({"type": "unwatch"}, 4),
        ({"typo": 1}, 4),
        ({"calls": [f"default:{n}" for n in range(1001)]}, 4),
    ],
)
async def test_who_may_not_is_told_why(gateway, more, code):
    """A refusal is a message with a code, and then a close; never a silence."""
    async with opened(gateway) as socket:
        first = {"type": "watch", "token": token(), "api_key": KEY, "calls": [CALL], **more}
        await socket.say(**{name: value for name, value in first.items() if value is not None})
        if code is None:
            assert (await socket.hear())["type"] == "error"
        else:
            await refused(socket, code)


async def test_refused_calls_are_named_and_the_others_go_on(gateway, sender):
    """On an open connection a refused watch changes nothing."""
    mine = token(call_cids=[CALL])
    async with watching(gateway, token=mine) as socket:
        await socket.say(type="watch", calls=["default:another"])
        said = await socket.hear()
        assert (said["type"], said["code"], said["calls"]) == ("error", 17, ["default:another"])
        await sender.number()
        assert await socket.numbers(1) == [0]


async def test_silence_is_not_waited_for(tmp_path):
    """Who says nothing is let go after the handshake's time."""
    from support.running_gateway import running_gateway

    async with running_gateway(tmp_path / "g", feed={"handshake_timeout": "300ms"}) as gateway:
        async with opened(gateway) as socket:
            await refused(socket, 5)


async def test_a_token_that_expires_closes_its_connection(gateway):
    """A socket does not outlive its token; the error says to come with a new one."""
    async with watching(gateway, token=token(lifetime_s=1)) as socket:
        said = await socket.hear()
        assert (said["type"], said["code"]) == ("error", 40)
        assert await socket.hear() is None
    async with events(gateway, call=CALL, bearer=token(lifetime_s=1)) as stream:
        assert (await stream.hear())[0]["type"] == "watching"
        assert (await stream.hear())[0]["code"] == 40
        assert await stream.hear() is None


@pytest.mark.parametrize("name", ["token", "authorization", "Authorization"])
async def test_a_token_in_an_address_is_refused(gateway, name):
    """Clearly, on both transports, and it is in no log."""
    async with events(gateway, call=CALL, **{name: "hidden-token"}) as stream:
        assert stream.response.status == 400
        assert "no place in an address" in (await stream.response.json())["message"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with opened(gateway, f"/feed?{name}=hidden-token"):
            pass
    assert refusal.value.status == 400
    assert "hidden-token" not in gateway.log_text


async def test_an_offered_protocol_that_is_not_ours_is_refused(gateway):
    """A token offered alone could not be answered without echoing it."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with opened(gateway, protocols=["token.hidden-token"]):
            pass
    assert refusal.value.status == 400
    assert "hidden-token" not in gateway.log_text


# ---- pages


async def ticket(gateway, bearer=None, **headers):
    url = URL.format(gateway.port, f"/feed/tickets?api_key={KEY}")
    headers["Authorization"] = bearer or token()
    async with aiohttp.ClientSession() as session:
        async with session.post(url, headers=headers) as response:
            return response.status, await response.json()


async def test_a_ticket_opens_one_connection(gateway, sender):
    """A ticket stands for its token once; Redis does not hold the ticket itself."""
    status, given = await ticket(gateway)
    assert status == 201
    redis = await gateway.redis()
    assert not [key for key in await redis.keys("*") if given["ticket"].encode() in key]
    await redis.aclose()
    async with events(gateway, bearer="", call=CALL, ticket=given["ticket"]) as stream:
        assert (await stream.hear())[0]["type"] == "watching"
        await sender.number()
        assert (await stream.hear())[0]["event"]["custom"]["n"] == 0
    async with events(gateway, bearer="", call=CALL, ticket=given["ticket"]) as stream:
        assert stream.response.status == 401
        assert (await stream.response.json())["code"] == 5


async def test_tickets_are_bounded_and_need_a_token(gateway):
    """Without a token there is none; nobody gets more than they may have connections."""
    assert (await ticket(gateway, bearer="x"))[0] == 401
    answers = [await ticket(gateway) for _ in range(51)]
    assert [status for status, _ in answers] == [201] * 50 + [429]
    assert (await ticket(gateway, bearer=token("bob")))[0] == 201


async def test_foreign_pages_are_refused(gateway):
    """Neither transport nor tickets for a page that is not listed; our own and programs pass."""
    evil = {"Origin": "https://evil.example"}
    async with events(gateway, call=CALL, headers=evil) as stream:
        assert stream.response.status == 403
        assert "Access-Control-Allow-Origin" not in stream.response.headers
    assert (await ticket(gateway, **evil))[0] == 403
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        async with opened(gateway, headers=evil):
            pass
    assert refusal.value.status == 403
    own = {"Origin": f"http://127.0.0.1:{gateway.port}"}
    async with opened(gateway, headers=own):
        pass


class TestAllowedPages:
    @pytest.fixture
    def settings(self):
        return {"feed": {"origins": ["https://app.example"]}}

    async def test_a_listed_page_may_come(self, gateway):
        """It passes, with the headers that its browser asks for."""
        page = {"Origin": "https://app.example"}
        async with events(gateway, call=CALL, headers=page) as stream:
            assert stream.response.headers["Access-Control-Allow-Origin"] == page["Origin"]
            assert (await stream.hear())[0]["type"] == "watching"
        async with aiohttp.ClientSession() as session:
            url = URL.format(gateway.port, "/feed/tickets")
            async with session.options(url, headers=page) as response:
                assert response.status == 204
                assert response.headers["Access-Control-Allow-Origin"] == page["Origin"]
                assert "authorization" in response.headers["Access-Control-Allow-Headers"]


# ---- bad input


async def test_what_is_no_message_does_not_end_the_connection(gateway, sender):
    """It is answered, and the feed goes on."""
    async with watching(gateway) as socket:
        for text in (
            "x",
            "[]",
            '{"type":"fly"}',
            '{"type":"watch","calls":["default:a"],"since":"c"}',
        ):
            await socket.raw.send_str(text)
            assert (await socket.hear())["code"] == 4
        await sender.number()
        assert await socket.numbers(1) == [0]


@pytest.mark.parametrize(
    ("send", "code"),
    [
        (lambda raw: raw.send_bytes(b"{}"), 1003),
        (lambda raw: raw.send_str(" " * (65 << 10)), 1009),
    ],
)
async def test_binary_and_oversized_messages_end_it(gateway, send, code):
    """With the code that says why."""
    async with watching(gateway) as socket:
        await send(socket.raw)
        assert await socket.hear() is None
        assert socket.raw.close_code == code


async def test_a_flood_ends_it(gateway):
    """More messages than anybody needs, pings included, end the connection."""
    for flood in ("text", "ping"):
        async with watching(gateway) as socket:
            for _ in range(101):
                await (socket.say(type="ping") if flood == "text" else socket.raw.ping())
            while await socket.hear() is not None:
                pass
            assert socket.raw.close_code == 1008


async def test_a_watcher_that_does_not_read_is_let_go(gateway, sender):
    """What waits for it is bounded; it comes back and has missed nothing."""
    async with watching(gateway) as slow, watching(gateway, user="bob") as quick:
        slow.raw._response.connection.transport.pause_reading()
        for number in range(120):  # in step: the quick one is never behind
            await sender.number(size=100_000)
            assert await quick.numbers(1) == [number]
        slow.raw._response.connection.transport.resume_reading()
        seen = []
        while (said := await slow.hear()) is not None:
            seen.append(said["event"]["custom"]["n"])
        assert seen == list(range(len(seen)))
        assert len(seen) < 120
    async with watching(gateway, since=slow.cursor) as back:
        assert back.first["recovered"] is True
        assert await back.numbers(120 - len(seen)) == list(range(len(seen), 120))


async def test_a_slow_watcher_of_two_calls_is_let_go_alone(gateway, sender):
    """One that went from one call to two, in the middle of an event's way to others like it."""
    async with watching(gateway) as slow, watching(gateway, user="bob") as quick:
        for one in (slow, quick):
            await one.say(type="watch", calls=["default:other"])
            assert (await one.hear())["calls"] == ["default:numbers", "default:other"]
        slow.raw._response.connection.transport.pause_reading()
        for number in range(60):
            await sender.number(size=100_000)
            assert await quick.numbers(1) == [number]
        slow.raw._response.connection.transport.resume_reading()
        while await slow.hear() is not None:
            pass
        assert slow.raw.close_code == 1013
    assert "Traceback" not in gateway.log_text


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
