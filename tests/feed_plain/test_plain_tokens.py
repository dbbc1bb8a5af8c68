"""Who asks on the plain feed: tokens, where they may stand, and what is refused."""

import json

import aiohttp
import pytest
from plain_client import CALL, KEY, events, opened, token, watching
from support.eventually import eventually


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
        ({"calls": ["nonsense"]}, 4),
        ({"calls": []}, 4),
        ({"types": []}, 4),
        ({"type": "unwatch"}, 4),
        ({"typo": 1}, 4),
        ({"calls": [f"default:{n}" for n in range(1001)]}, 4),
    ],
)
async def test_who_may_not_is_told_why(shared_gateway, more, code):
    """A refusal is a message with a code, and then a close; never a silence."""
    async with opened(shared_gateway) as socket:
        first = {"type": "watch", "token": token(), "api_key": KEY, "calls": [CALL], **more}
        await socket.say(**{name: value for name, value in first.items() if value is not None})
        if code is None:
            assert (await socket.hear())["type"] == "error"
        else:
            await refused(socket, code)


async def test_refused_calls_are_named_and_the_others_go_on(gateway, sender):
    """On an open connection a refused watch changes nothing."""
    another = {"cid": "default:another", "created_by": {"id": "bob"}}
    event = {"call_cid": another["cid"], "call": another, "user": {"id": "alice"}}
    await sender.send(json.dumps({"type": "call.blocked_user", **event}).encode())

    async def is_known():
        async with opened(gateway) as socket:
            first = {"type": "watch", "token": token(), "api_key": KEY}
            await socket.say(**first, calls=[another["cid"]])
            return (await socket.hear())["type"] == "error"

    await eventually(is_known)
    async with watching(gateway) as socket:
        await socket.say(type="watch", calls=[another["cid"]])
        said = await socket.hear()
        assert (said["type"], said["code"], said["calls"]) == ("error", 17, ["default:another"])
        await sender.number()
        assert await socket.numbers(1) == [0]


async def test_silence_is_not_waited_for(tmp_path):
    """Who says nothing is let go after the handshake's time."""
    from support.running_gateway import running_gateway

    async with running_gateway(tmp_path / "g", feed={"handshake_timeout": "300ms"}) as gateway:
        await gateway.up()
        async with opened(gateway) as socket:
            await refused(socket, 5)


async def test_a_token_that_expires_closes_its_connection(gateway):
    """A connection does not outlive its token; the error says to come with a new one."""
    brief = token(lifetime_s=5)  # time enough to come with it, wherever this runs
    async with (
        watching(gateway, token=brief) as socket,
        events(gateway, call=CALL, bearer=brief) as stream,
    ):
        assert (await stream.hear())[0]["type"] == "watching"
        for said in (await socket.hear(), (await stream.hear())[0]):
            assert (said["type"], said["code"]) == ("error", 40)
        assert (await socket.hear(), await stream.hear()) == (None, None)


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
