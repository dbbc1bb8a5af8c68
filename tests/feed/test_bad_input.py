"""What no client should send, on the plain feed: the same answers as on Stream's own socket."""

import json

from socket_client import BAD, CALL, KEY, masked, raw_socket, token, unsigned


def watch(**more):
    said = {"type": "watch", "token": token(), "api_key": KEY, "calls": [CALL], **more}
    return masked(1, json.dumps(said).encode())


async def test_bad_input_has_its_answer_on_the_plain_feed(gateway, sender):
    """A close with the code that says what was wrong, before the first message and after it;
    whoever watches beside is not concerned, and nothing of it is a defect.
    """
    async with raw_socket(gateway, "/feed") as beside:
        beside.send(watch())
        await beside.frame()
        for name, (frames, code) in BAD.items():
            for hello in (watch(), b""):
                async with raw_socket(gateway, "/feed") as socket:
                    socket.send(hello, frames)
                    assert await socket.closed() == code, (name, hello)
        await sender.number(call=CALL)
        _, said = await beside.frame()
        assert json.loads(said)["event"]["custom"]["n"] == 0
    assert "Traceback" not in gateway.log_text


async def test_an_unsigned_token_is_none(gateway):
    """`alg: none` is refused like a wrong signature: code 43."""
    async with raw_socket(gateway, "/feed") as socket:
        socket.send(watch(token=unsigned()))
        _, said = await socket.frame()
        assert json.loads(said)["code"] == 43
        assert await socket.closed() == 1008
