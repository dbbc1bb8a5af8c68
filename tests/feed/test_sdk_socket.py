"""`GET /video/connect` on real sockets: what Stream's SDKs rely on, and what nobody should do."""

import asyncio
import json
import time

import aiohttp
import pytest
from socket_client import (
    BAD,
    CALL,
    KEY,
    OTHER_KEY,
    OTHER_SECRET,
    SECRET,
    connected,
    masked,
    opened,
    raw_socket,
    token,
    unsigned,
)
from support.eventually import eventually


async def test_who_connects_is_told_its_name(gateway):
    """connection.ok comes first, with an id and what the user said of itself."""
    async with opened(gateway) as socket:
        custom = {"a": 1}
        await socket.hello(user_details={"id": "alice", "name": "Alice", "custom": custom})
        said = await socket.hear()
        assert said["type"] == "connection.ok"
        assert len(said["connection_id"]) == 49
        assert said["created_at"].endswith("Z")
        me = said["me"]
        assert (me["id"], me["name"], me["custom"]) == ("alice", "Alice", custom)


@pytest.mark.parametrize(
    "custom",
    [
        '{"n":1' + "0" * 400 + "}",
        '{"n":' + "[" * 400 + "]" * 400 + "}",
        '{"n":"' + "x" * 9000 + '"}',
    ],
    ids=["a huge number", "lists in lists", "a long text"],
)
async def test_what_cannot_be_said_back_is_left_out(gateway, custom):
    """A user's own data is never a reason to let it go: it is connected without them."""
    async with opened(gateway) as socket:
        details = f'{{"id":"alice","name":"Alice","custom":{custom}}}'
        await socket.hello(f'{{"token":"{token()}","user_details":{details}}}')
        said = await socket.hear()
        assert said["type"] == "connection.ok", said
        assert (said["me"]["name"], said["me"]["custom"]) == ("Alice", {})


async def test_a_health_check_is_answered(gateway):
    """By one object, whether the client sends a list, as the SDK does, or an object."""
    async with connected(gateway) as socket:
        for text in ('[{"type":"health.check","client_id":"x"}]', '{"type":"health.check"}'):
            await socket.raw.send_str(text)
            said = await socket.hear()
            assert (said["type"], said["connection_id"]) == ("health.check", socket.id)
        await socket.raw.send_str('{"type":"who knows"}')
        await socket.raw.send_str('[{"type":"health.check"}]')
        assert (await socket.hear())["type"] == "health.check"


class TestSignsOfLife:
    @pytest.fixture
    def settings(self):
        return {"feed": {"ping_interval": "3s"}}  # in which an answer must have come

    async def test_who_answers_pings_stays_and_who_does_not_is_cut_off(self, gateway):
        """Signs of life come in every interval, so that no client need ask. A browser answers the
        pings by itself; a peer that is gone without a word does not, and does not stay.
        """
        async with raw_socket(gateway) as gone, raw_socket(gateway) as alive:
            for one in (gone, alive):
                one.hello()
            opcodes = asyncio.create_task(_until_cut_off(gone))
            checks = 0
            while checks < 3 or not opcodes.done():  # two intervals, and one more
                opcode, payload = await alive.frame()
                if opcode == 9:
                    alive.send(masked(10))
                checks += opcode == 1 and json.loads(payload)["type"] == "health.check"
            assert 9 in await opcodes
            assert 8 not in await opcodes


async def _until_cut_off(socket):
    opcodes = []
    while (frame := await socket.frame()) is not None:
        opcodes.append(frame[0])
    return opcodes


async def refused(socket, code, status=401):
    said = await socket.hear()
    assert said["type"] == "connection.error"
    assert said["connection_id"] == ""
    error = said["error"]
    assert (error["code"], error["StatusCode"]) == (code, status), error
    assert error.keys() == {
        "code",
        "StatusCode",
        "message",
        "duration",
        "more_info",
        "details",
    }
    assert await socket.hear() is None
    assert socket.raw.close_code not in (None, 1000, 1006)


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        (json.dumps({"token": token(secret="wrong")}), 43, 401),
        (json.dumps({"token": unsigned()}), 43, 401),
        (json.dumps({"token": token(lifetime_s=-60)}), 40, 401),
        (json.dumps({"token": token(secret=OTHER_SECRET)}), 43, 401),
        (json.dumps({"token": token(iat=10**11)}), 42, 401),
        (json.dumps({"token": token(None)}), 5, 401),
        (json.dumps({"token": token(), "user_details": {"id": "bob"}}), 5, 401),
        (json.dumps({"token": "x.y.z"}), 5, 401),
        (json.dumps({}), 5, 401),
        ("[]", 4, 400),
        ("no JSON", 4, 400),
        ("[" * 50_000, 4, 400),
    ],
    ids=lambda value: "" if isinstance(value, str) else None,  # a token is another each second
)
async def test_refusals_say_why_in_streams_codes(shared_gateway, text, code, status):
    """One connection.error in text, then a close that is not 1000."""
    async with opened(shared_gateway) as socket:
        await socket.hello(text)
        await refused(socket, code, status)


async def test_an_unknown_app_is_refused(gateway):
    """Code 2."""
    async with opened(gateway, key="nobody") as socket:
        await socket.hello()
        await refused(socket, 2)


async def test_a_token_that_expires_closes_its_socket(gateway):
    """With a code after which the SDK comes back; its new connection is then told code 40."""
    async with connected(gateway, exp=time.time() + 4) as socket:  # enough to come with it
        assert await socket.event() is None
        assert socket.raw.close_code == 4001


class TestImpatience:
    @pytest.fixture
    def settings(self):
        return {"feed": {"handshake_timeout": "300ms"}}

    async def test_silence_is_not_waited_for(self, gateway):
        """Who sends no token in time is let go, with a reason."""
        async with opened(gateway) as socket:
            await refused(socket, 23, 408)


class TestBounds:
    @pytest.fixture
    def settings(self):
        return {"feed": {"max_connections": 4, "max_connections_per_user": 2}}

    async def test_a_user_has_so_many_connections(self, gateway):
        """The one beyond is refused with 71; another user's, and one of another app, is not."""
        async with connected(gateway), connected(gateway):
            async with opened(gateway) as third:
                await third.hello()
                await refused(third, 71, 429)
            async with connected(gateway, "bob"):
                pass
            async with connected(gateway, key=OTHER_KEY, secret=OTHER_SECRET):
                pass
        async with connected(gateway):
            pass

    async def test_all_together_have_so_many(self, gateway):
        """Beyond it the upgrade is answered 503, after which clients try again by themselves."""
        async with connected(gateway, "a"), connected(gateway, "b"), connected(gateway, "c"):
            async with opened(gateway):  # has not said who it is: counts as well
                with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                    async with opened(gateway, "d"):
                        pass
        assert refusal.value.status == 503
        assert refusal.value.headers["Retry-After"] == "1"
        async with connected(gateway, "d"):
            pass


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upgrade": "websocket"}, 400),
        (
            {
                "Upgrade": "websocket",
                "Connection": "upgrade",
                "Sec-WebSocket-Version": "12",
                "Sec-WebSocket-Key": "x",
            },
            400,
        ),
    ],
)
async def test_what_is_no_upgrade_is_told_so(gateway, headers, status):
    """An ordinary answer with Stream's error body; the connection goes on."""
    url = f"http://127.0.0.1:{gateway.port}/video/connect?api_key={KEY}"
    async with aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(url, headers=headers) as response:
                assert response.status == status
                assert (await response.json())["code"] == 4


# ---- frames


async def test_what_comes_with_the_request_is_read(gateway):
    """A client may send its token before it has seen the 101."""
    said = json.dumps({"token": token()}).encode()
    async with raw_socket(gateway, behind=masked(1, said)) as socket:
        opcode, payload = await socket.frame()
        assert opcode == 1
        assert json.loads(payload)["type"] == "connection.ok"


async def test_messages_in_pieces_are_put_together(gateway):
    """Split anywhere, with pings between the pieces, byte by byte on the wire."""
    said = json.dumps({"token": token()}).encode()
    wire = b"".join(
        (
            masked(1, said[:10], fin=False),
            masked(9, b"x"),
            masked(0, b"", fin=False),
            masked(0, said[10:]),
        )
    )
    async with raw_socket(gateway) as socket:
        for at in range(len(wire)):
            socket.send(wire[at : at + 1])
            await socket.writer.drain()
        assert await socket.frame() == (10, b"x")
        assert json.loads((await socket.frame())[1])["type"] == "connection.ok"


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_has_its_answer(shared_gateway, name):
    """A close with the code that says what was wrong; afterwards the gateway is as before."""
    frames, code = BAD[name]
    async with raw_socket(shared_gateway) as socket:
        socket.hello()
        await socket.frame()
        socket.send(frames)
        assert await socket.closed() == code
    async with connected(shared_gateway, "bob"):
        pass
    assert "Traceback" not in shared_gateway.log_text


@pytest.mark.parametrize(
    ("payload", "answer"),
    [
        (b"", b""),
        (b"\x03\xe8", b"\x03\xe8"),
        (b"\x03\xe9bye", b"\x03\xe9"),
        (b"\x03", b"\x03\xea"),
        (b"\x03\xed", b"\x03\xea"),
        (b"\x03\xe8\xce\xba\xe1", b"\x03\xef"),  # a reason that is no UTF-8
    ],
)
async def test_a_close_is_answered(shared_gateway, payload, answer):
    """In its own words where they may be repeated, and the connection ends."""
    async with raw_socket(shared_gateway) as socket:
        socket.hello()
        await socket.frame()
        socket.send(masked(8, payload))
        assert await socket.frame() == (8, answer)
        assert await socket.frame() is None
    await eventually(lambda: all_gone(shared_gateway))


async def all_gone(gateway):
    return 'gateway_feed_connections{protocol="sdk"} 0' in await metrics(gateway)


async def metrics(gateway):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{gateway.admin_port}/metrics") as response:
            return await response.text()


async def test_nothing_is_left_of_connections_that_have_gone(gateway, sender):
    """Closed, cut off, refused and silent ones: none is counted any more."""
    async with connected(gateway) as one, opened(gateway) as two, raw_socket(gateway):
        one.cut()
        await two.hello("nonsense")
        await two.hear()
    await eventually(lambda: all_gone(gateway))
    await sender.number(call=CALL)
    assert SECRET not in await metrics(gateway)
