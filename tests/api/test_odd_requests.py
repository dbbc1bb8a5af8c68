"""What nobody would send: no answer says that it was our fault, and the log holds no traceback."""

import asyncio
import json

import aiohttp
import pytest
from support.eventually import eventually
from support.feed import feeding_gateway
from support.stream_client import stream_client
from support.webhooks import signed_request


@pytest.fixture
async def running(tmp_path):
    feed = {"guests": True, "demo": True, "origins": ["https://x.example"]}
    async with feeding_gateway(tmp_path / "g", {"feed": feed}) as gateway:
        yield gateway
    assert "Traceback" not in gateway.log_text
    assert '"ERROR"' not in gateway.log_text


async def status(port, request):
    """The status of the answer to bytes that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), 60)
        return int(line.split()[1])
    finally:
        writer.close()


ROUTES = [
    b"POST /webhooks/stream",
    b"GET /feed?api_key=demo-key&call=default:room",
    b"POST /feed/tickets?api_key=demo-key",
    b"GET /feed.js",
    b"GET /demo",
    b"POST /demo/token",
    b"GET /video/call/default/room?api_key=demo-key",
    b"POST /video/calls?api_key=demo-key",
    b"POST /api/v2/video/guest?api_key=demo-key",
    b"GET /video/connect?api_key=demo-key",
    b"GET /healthz",
    b"GET /nothing",
    b"DELETE /healthz",
]
ADMIN = [
    b"GET /metrics",
    b"GET /healthz",
    b"GET /readyz",
    b"GET /ledger",
    b"GET /no",
    b"PUT /ledger",
]


async def test_an_expectation_that_is_no_text(running):
    """It is refused, 417, on every route of both listeners, for whoever has a token or not."""
    for port, routes in ((running.port, ROUTES), (running.admin_port, ADMIN)):
        for route in routes:
            for value in (b"\xff\xfe", b"\xed\xa0\x80", b"caf\xc3\xa9", b"a b"):
                head = b"%b HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: %b\r\n" % (route, value)
                found = await status(port, head + b"Content-Length: 0\r\n\r\n")
                assert found == 417, (route, value)


async def test_a_request_that_cannot_be_read(running):
    """It is refused, 400 or 404 or 405, on both listeners."""
    for port in (running.port, running.admin_port):
        for head in (
            b"GET /\xef\xbc\x91 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            b"GET /%ff%00%ed%a0%80 HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            b"F\x01O /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n",
            b"GET /no HTTP/1.1\r\nHost: 127.0.0.1\r\nX\xff: 1\r\n",
            b"PUT /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: br\r\n",
            b"PUT /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: zstd\r\n",
        ):
            found = await status(port, head + b"Content-Length: 1\r\n\r\nx")
            assert found in (400, 404, 405), (port, head)


FAR = "9999-12-31T23:59:59Z"


async def test_times_that_no_client_has_room_for(running):
    """Nobody makes a call with one; of a webhook it is shown as it is, or as none."""
    base = f"http://127.0.0.1:{running.port}"
    async with stream_client(base, "ann") as ann:
        body = {"data": {"starts_at": FAR}}
        refused = await ann.ask("POST", "/video/call/default/own", body)
        assert (refused.status, refused.code) == (400, 4)
        event = {
            "type": "call.created",
            "call_cid": "default:far",
            "created_at": "2026-11-01T00:00:00Z",
            "call": {"cid": "default:far", "starts_at": FAR, "created_by": {"id": "ann"}},
            "members": [{"user_id": "ann", "created_at": FAR, "user": {"id": "ann"}}],
        }
        body = json.dumps(event).encode()
        async with aiohttp.ClientSession() as session:
            headers = signed_request(body, "demo-secret", "demo-key")
            async with session.post(running.url, data=body, headers=headers) as response:
                assert response.status == 200

        async def shown(root):
            reply = await ann.ask("GET", f"{root}/call/default/far")
            return reply if reply.status != 404 else None

        reply = await eventually(lambda: shown("/video"))
        assert (reply.status, reply.json["call"]["starts_at"]) == (200, FAR)
        reply = await shown("/api/v2/video")
        assert (reply.status, reply.json["call"]["starts_at"]) == (200, None)
        assert reply.json["members"][0]["created_at"] is None

        async def found():
            reply = await ann.ask("POST", "/api/v2/video/calls", {})
            assert reply.status == 201
            return reply.json["calls"]

        (one,) = await eventually(found)
        assert one["call"]["starts_at"] is None


@pytest.mark.parametrize("depth", [90, 150, 249, 252])
async def test_what_lies_deep_is_refused_or_shown(running, depth):
    """Whatever a call is made of, it can be asked for below both roots; else it is not made."""
    deep = json.loads("[" * depth + "]" * depth)
    member = {"user_id": "kim", "custom": {"a": deep}}
    bodies = [
        {"custom": {"a": deep}},
        {"settings_override": {"a": deep}},
        {"members": [member]},
        {"members": [{"user": {"id": "kim", "custom": {"a": deep}}}]},
    ]
    base = f"http://127.0.0.1:{running.port}"
    async with stream_client(base, "ann") as ann:
        for number, data in enumerate(bodies):
            path = f"call/default/deep{number}"
            made = await ann.ask("POST", f"/video/{path}", {"data": data})
            if depth > 100:
                assert (made.status, made.code) == (400, 4)
                continue
            assert made.status == 201
            for root in ("/video/", "/api/v2/video/"):
                assert (await ann.ask("GET", root + path)).status == 200
                asked = {"filter_conditions": {"cid": {"$in": [f"default:deep{number}"]}}}
                assert len((await ann.ask("POST", root + "calls", asked)).json["calls"]) == 1
