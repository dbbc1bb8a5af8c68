"""Places that strangers hold are there for whoever brings signed requests."""

import contextlib
import socket
import ssl
from time import perf_counter

import pytest
import trustme
from support.doorway import CHUNKED, FAST, QUERY, ask, connected, opened, same
from support.eventually import eventually
from support.strangers import BAD_WEBHOOK, HEALTH, UNSIGNED, strangers
from support.webhooks import distinct_event, signed_request

from gateway.ingest import answers
from gateway.ingest.eviction import HANDSHAKE_S
from gateway.open_files import FileRoom
from gateway.options import TlsOptions

CHUNKS = (
    b"POST /webhooks/stream HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
)
SPOKEN = {
    "nothing": b"",
    "a request to aiohttp": HEALTH,
    "an unsigned webhook": BAD_WEBHOOK,
    "half a request line": b"POST /webh",
    "half a head": UNSIGNED[:60],
    "half a body": UNSIGNED % 1000 + b"x" * 500,
    "half a head to aiohttp": HEALTH[:-4],
    "half a chunk to aiohttp": CHUNKS,
}


def good(n, way=FAST, size_bytes=0):
    body = distinct_event(n, size_bytes=size_bytes)
    return way.request(body, signed_request(body))


@pytest.mark.parametrize("first", SPOKEN)
async def test_strangers_make_room(tmp_path, first):
    """Whatever strangers have said, their places are to be had, one for each who comes; who has
    brought a signed request keeps its own.
    """
    async with contextlib.AsyncExitStack() as stack:
        limits = {"max_connections": 8, "header_timeout_s": 600, "body_timeout_s": 600}
        doorway = await stack.enter_async_context(opened(tmp_path, **limits))
        signers = []
        for n, way in enumerate((FAST, QUERY, CHUNKED)):
            signers.append(await stack.enter_async_context(connected(doorway.port)))
            same(await signers[-1].ask(good(n, way)), answers.STORED)
        some = stack.enter_context(strangers(doorway.port))
        await some.come(5, SPOKEN[first])

        def none_is_under_way():
            standings = [one.standing for one in doorway.connections]
            return len(standings) == 8 and None not in standings

        await eventually(none_is_under_way)
        for n in range(10, 15):
            came = await stack.enter_async_context(connected(doorway.port))
            same(await came.ask(good(n)), answers.STORED)
        for n, signer in enumerate(signers, 20):
            same(await signer.ask(good(n)), answers.STORED)
        same(await ask(doorway.port, good(30)), answers.TOO_MANY_CONNECTIONS)
        assert doorway.answered(503) == 0  # of webhooks that were read
        assert len(doorway.events()) == 11


async def test_one_makes_room_for_one(tmp_path):
    """Who comes costs one stranger its place, the longest idle one, and no more."""
    async with opened(tmp_path, max_connections=8) as doorway, connected(doorway.port) as kept:
        with strangers(doorway.port) as first, strangers(doorway.port) as later:
            await first.come(2, HEALTH)
            await eventually(lambda: doorway.metrics.connections.rows()[0][1] == 3)
            await later.come(5, HEALTH)
            await eventually(lambda: len(doorway.connections) == 8)
            same(await kept.ask(good(1)), answers.STORED)
            same(await ask(doorway.port, good(2)), answers.STORED)
            await eventually(lambda: first.ended() == 1)
            assert later.ended() == 0
            assert doorway.metrics.connections_refused.values == {("silent",): 1}


def has_had_its_time(one):
    """Whether the handshake of a connection may be ended by now."""
    return perf_counter() - one.standing.opened_at > HANDSHAKE_S if one.standing else True


async def test_handshakes_count(tmp_path):
    """Who never ends its TLS handshake holds a place, and makes room as the silent do."""
    authority = trustme.CA()
    cert = authority.issue_cert("127.0.0.1")
    tls = TlsOptions(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    cert.cert_chain_pems[0].write_to_path(tls.cert)
    cert.private_key_pem.write_to_path(tls.key)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    limits = {"max_connections": 5, "header_timeout_s": 60}
    async with opened(tmp_path, tls=tls, **limits) as doorway:
        with strangers(doorway.port) as silent, strangers(doorway.port) as half:
            await silent.come(20)
            await half.come(20, b"\x16\x03\x01\x02\x00\x01")
            assert len(doorway.connections) <= 5
            for n in range(10):
                await eventually(lambda: all(map(has_had_its_time, doorway.connections)))
                same(await ask(doorway.port, good(n), trusting), answers.STORED)
            assert len(doorway.connections) <= 5
            await eventually(lambda: silent.ended() + half.ended() >= 35)


@pytest.mark.parametrize("way", [FAST, QUERY, CHUNKED], ids=lambda way: way.name)
async def test_unfinished_requests_are_bounded_together(tmp_path, way):
    """Bodies that strangers withhold are ended with 408, the slowest first, when all together are
    too much; those that arrive are taken.
    """
    limits = {"max_unfinished_bytes": 1_000_000, "body_timeout_s": 600}
    body = b"x" * 90_000
    start = way.request(body, {"X-Api-Key": "demo-key", "X-Signature": "0" * 64})[:-10]
    async with opened(tmp_path, **limits) as doorway, connected(doorway.port) as early:
        early.send(start)
        await eventually(lambda: any(one.unfinished_bytes for one in doorway.connections))
        with strangers(doorway.port) as some:
            await some.come(40, start)
            same(await early.response(), answers.REQUEST_TIMEOUT)
            held = sum(one.unfinished_bytes for one in doorway.connections)
            assert held <= limits["max_unfinished_bytes"] + len(start)
            for n in range(20):
                same(await ask(doorway.port, good(n, way, 90_000)), answers.STORED)
            await eventually(lambda: some.ended() >= 25)
        assert doorway.answered(200) == 20


async def test_who_has_signed_may_take_its_time(tmp_path):
    """A body of a connection that has brought a signed request is not ended for being slow."""
    limits = {"max_unfinished_bytes": 400_000, "body_timeout_s": 600}
    start = UNSIGNED % 90_000 + b"x" * 89_000
    async with opened(tmp_path, **limits) as doorway, connected(doorway.port) as signer:
        same(await signer.ask(good(1)), answers.STORED)
        slow = good(2, size_bytes=90_000)
        signer.send(slow[:-1])
        with strangers(doorway.port) as some:
            await some.come(40, start)
            await eventually(lambda: some.ended() >= 30)
            signer.send(slow[-1:])
            same(await signer.response(), answers.STORED)


@pytest.mark.parametrize("where", ["?x=1", "", "/nowhere"])
async def test_a_malformed_chunk_is_400_at_once(tmp_path, where):
    """Also one that comes after the head, when its request is already being handled."""
    head = (
        b"POST /webhooks/stream%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        % where.encode()
    )
    for bad in (
        b"nonsense\r\n",
        b"5\r\nhelloX\r\n",
        b"-1\r\n",
        b"5;\x00\r\n",
        b"0\r\nbad\0: x\r\n",
    ):
        async with opened(tmp_path, body_timeout_s=600) as doorway, connected(doorway.port) as one:
            one.send(head)
            if where == "/nowhere":
                same(await one.response(), answers.NOT_FOUND)
            else:
                one.send(b"3\r\nabc\r\n")
                await eventually(lambda: any(each.unfinished_bytes for each in doorway.connections))
            one.send(bad)
            if where != "/nowhere":
                same(await one.response(), answers.BAD_REQUEST)
            rest = await one.rest()
            assert rest.startswith(b"HTTP/1.1 400 ") if where == "/nowhere" else rest == b""


async def test_near_the_limit_of_files_strangers_go_first(tmp_path, caplog):
    """With as many files open as there may be, strangers make room for webhooks; watchers are not
    let in; it is told once, and once when it is over.
    """
    caplog.set_level("INFO")
    async with opened(tmp_path, header_timeout_s=600) as doorway:
        around = doorway.listener._shared
        few = FileRoom(limit=2_000, used=10, senders_below=20, watchers_below=16, lingering=4)
        around.files = around.room._files = few
        with strangers(doorway.port) as some:
            await some.come(60, HEALTH)
            await eventually(lambda: len(doorway.connections) + some.ended() == 60)
            assert len(doorway.connections) <= 10
            assert not around.room.has_file_to_keep()
            for n in range(10):
                same(await ask(doorway.port, good(n)), answers.STORED)
        assert caplog.text.count("open files run short") == 1
        await eventually(lambda: not doorway.connections)
        assert around.room._short_at is not None
        around.room._short_at -= 61
        await eventually(lambda: "open files suffice again" in caplog.text)


async def test_who_cannot_be_kept_is_answered_503(tmp_path):
    """Where all places are needed and no more may linger, 503 is still what a webhook gets."""
    async with opened(tmp_path, max_connections=1) as doorway, connected(doorway.port) as signer:
        same(await signer.ask(good(1)), answers.STORED)
        doorway.listener._shared.files = FileRoom(lingering=0)
        for n in range(20):
            with socket.create_connection(("127.0.0.1", doorway.port)):
                same(await ask(doorway.port, good(n)), answers.TOO_MANY_CONNECTIONS)
        same(await signer.ask(good(2)), answers.STORED)
