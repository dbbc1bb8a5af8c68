"""What a connection may do, how long it may take, and what it costs the others when it does not."""

import asyncio
import contextlib
import random
import ssl
import time

import pytest
import trustme
from support.doorway import CHUNKED, FAST, QUERY, WAYS, ask, connected, opened, same
from support.eventually import eventually
from support.webhooks import distinct_event, signed_request

from gateway.ingest import answers
from gateway.ingest.connection import MAX_DUE
from gateway.options import TlsOptions


def good(n=1, way=FAST, extra=""):
    body = distinct_event(n)
    return way.request(body, signed_request(body), extra)


BAD = FAST.request(b"{}", {})
EARLY_S = 0.002  # uvloop's timers count whole milliseconds, and may ring one early


@pytest.mark.parametrize("ack", ["journal", "redis"])
async def test_answers_leave_in_the_order_of_the_requests(tmp_path, ack):
    """A refusal, which needs no storing, waits behind the acks that are still pending."""
    order = [True, False, True, True, False, False, True]
    async with opened(tmp_path, ack=ack) as doorway, connected(doorway.port) as client:
        client.send(b"".join(good(n) if each else BAD for n, each in enumerate(order)))
        for each in order:
            same(await client.response(), answers.STORED if each else answers.UNAUTHORIZED)


@pytest.mark.parametrize("ack", ["journal", "redis"])
async def test_a_hand_over_waits_for_what_is_due(tmp_path, ack):
    """Requests pipelined over both paths are answered in order, each once."""
    async with opened(tmp_path, ack=ack) as doorway, connected(doorway.port) as client:
        ways = [FAST, FAST, QUERY, CHUNKED, FAST]
        client.send(b"".join(good(n, way) for n, way in enumerate(ways)))
        for _ in ways:
            same(await client.response(), answers.STORED)
        assert [event.body for event in doorway.events()] == [distinct_event(n) for n in range(5)]


@pytest.mark.parametrize("ack", ["journal", "redis"])
async def test_long_pipelines_are_bounded_and_lose_nothing(tmp_path, ack):
    """Many times more pipelined requests than may be due at once are all answered, in order."""
    count = MAX_DUE * 5
    async with opened(tmp_path, ack=ack) as doorway, connected(doorway.port) as client:
        client.send(b"".join(good(n) for n in range(count)))
        for _ in range(count):
            same(await client.response(), answers.STORED)
        assert [each.body for each in doorway.events()] == [distinct_event(n) for n in range(count)]


async def test_a_last_request_ends_the_connection(tmp_path):
    """Nothing that is pipelined behind `Connection: close` is taken."""
    async with opened(tmp_path, ack="redis") as doorway, connected(doorway.port) as client:
        client.send(good(1) + good(2, extra="Connection: close\r\n") + good(3))
        same(await client.response(), answers.STORED)
        same(await client.response(), answers.STORED, close=True)
        assert await client.rest() == b""
        assert len(doorway.events()) == 2


async def test_a_half_closed_connection_gets_its_answers(tmp_path):
    """A client that has finished sending still reads what is due."""
    async with opened(tmp_path, ack="redis") as doorway, connected(doorway.port) as client:
        client.send(good(1) + good(2))
        client.writer.write_eof()
        assert (await client.rest()).count(b"200 OK") == 2


@pytest.mark.parametrize(
    "start",
    [good()[:20], good()[:100], b"GET /hea", good(way=QUERY)[:100]],
    ids=["request line", "head", "elsewhere", "aiohttp's head"],
)
async def test_a_head_that_takes_too_long_is_408(tmp_path, start):
    """The header deadline holds on both paths, from the first byte of a request on."""
    async with opened(tmp_path, header_timeout_s=0.5) as doorway:
        same(await ask(doorway.port, start), answers.REQUEST_TIMEOUT)
        async with connected(doorway.port) as client:
            same(await client.ask(good(way=QUERY)), answers.STORED)
            same(await client.ask(start), answers.REQUEST_TIMEOUT)
            assert await client.rest() == b""


@pytest.mark.parametrize("way", [FAST, QUERY, CHUNKED], ids=lambda way: way.name)
async def test_a_body_that_takes_too_long_is_408(tmp_path, way):
    """The body deadline counts from the end of the head."""
    async with opened(tmp_path, body_timeout_s=0.3) as doorway:
        began = time.perf_counter()
        same(await ask(doorway.port, good(way=way)[:-20]), answers.REQUEST_TIMEOUT)
        assert time.perf_counter() - began >= 0.3 - EARLY_S


async def test_silent_connections_are_closed(tmp_path):
    """One that never sends is closed at the header deadline, an idle one later; without a word."""
    limits = {"header_timeout_s": 0.4, "keepalive_timeout_s": 0.8}
    async with opened(tmp_path, **limits) as doorway:
        async with connected(doorway.port) as fresh:
            assert await fresh.rest() == b""
        for way in (FAST, QUERY):
            async with connected(doorway.port) as idle:
                began = time.perf_counter()
                same(await idle.ask(good(way=way)), answers.STORED)
                assert await idle.rest() == b""
                assert time.perf_counter() - began >= 0.8 - EARLY_S
        await eventually(lambda: not doorway.connections)


async def test_slow_connections_cost_the_good_ones_nothing(tmp_path):
    """Hundreds of dripping heads and bodies do not keep good webhooks from their answers."""
    async with opened(tmp_path, header_timeout_s=30, body_timeout_s=30) as doorway:
        slow = []
        for n in range(300):
            _, writer = await asyncio.open_connection("127.0.0.1", doorway.port)
            writer.write(good(n, way=(FAST, QUERY)[n % 2])[: -20 if n % 3 else 40])
            slow.append(writer)
        async with connected(doorway.port) as client:
            for n in range(100):
                same(await client.ask(good(n)), answers.STORED)
        for writer in slow:
            writer.close()


async def test_the_budget_of_connections(tmp_path):
    """Beyond the budget: 503 with Retry-After; a place that becomes free can be had."""
    async with opened(tmp_path, max_connections=2) as doorway:
        async with connected(doorway.port) as one, connected(doorway.port) as two:
            same(await one.ask(good(1)), answers.STORED)
            same(await two.ask(good(2, way=QUERY)), answers.STORED)
            same(await ask(doorway.port, good(3)), answers.TOO_MANY_CONNECTIONS)
            same(await one.ask(good(4)), answers.STORED)
        await eventually(lambda: not doorway.connections)
        same(await ask(doorway.port, good(5)), answers.STORED)
        assert doorway.metrics.connections_refused.values == {("too_many",): 1}


async def test_who_is_silent_makes_room(tmp_path):
    """Where all places are taken by some who have not said a word, who speaks is let in."""
    async with opened(tmp_path, max_connections=3) as doorway:
        async with contextlib.AsyncExitStack() as stack:
            speaks = await stack.enter_async_context(connected(doorway.port))
            same(await speaks.ask(good(1)), answers.STORED)
            silent = [await stack.enter_async_context(connected(doorway.port)) for _ in range(2)]
            await eventually(lambda: len(doorway.connections) == 3)
            same(await ask(doorway.port, good(2)), answers.STORED)
            same(await silent[0].response(), answers.TOO_MANY_CONNECTIONS)  # the oldest of them
            same(await silent[1].ask(good(3)), answers.STORED)
            same(await speaks.ask(good(4)), answers.STORED)
        assert doorway.metrics.connections_refused.values == {("silent",): 1}


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


async def test_https(tmp_path, authority):
    """Both paths, pipelined, over TLS; and nothing older than TLS 1.2."""
    cert = authority.issue_cert("127.0.0.1", "localhost")
    tls = TlsOptions(cert=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    cert.cert_chain_pems[0].write_to_path(tls.cert)
    cert.private_key_pem.write_to_path(tls.key)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    async with opened(tmp_path / "a", tls=tls) as doorway:
        async with connected(doorway.port, client_tls) as client:
            client.send(good(1) + BAD + good(2, way=QUERY) + good(3, way=CHUNKED))
            for answer in (answers.STORED, answers.UNAUTHORIZED, answers.STORED, answers.STORED):
                same(await client.response(), answer)
    async with opened(tmp_path / "b", tls=tls, header_timeout_s=1.0) as doorway:
        same(await ask(doorway.port, good(4)[:50], client_tls), answers.REQUEST_TIMEOUT)
        async with connected(doorway.port) as never_shakes_hands:
            assert await never_shakes_hands.rest() == b""
        await eventually(lambda: not doorway.connections)


INNER = good(99)
_HEAD = b"POST /webhooks/stream HTTP/1.1\r\nHost: x\r\n"
_LENGTH = b"Content-Length: %d\r\n" % len(INNER)
SMUGGLED = {
    "length and chunked": _HEAD
    + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (len(INNER) + 5),
    "chunked and length": _HEAD + b"Transfer-Encoding: chunked\r\n" + _LENGTH + b"\r\n0\r\n\r\n",
    "two lengths": _HEAD + b"Content-Length: 0\r\n" + _LENGTH + b"\r\n",
    "two equal lengths": _HEAD + _LENGTH + _LENGTH + b"\r\n",
    "list of lengths": _HEAD + b"Content-Length: 0, %d\r\n\r\n" % len(INNER),
    "signed length": _HEAD + b"Content-Length: +0\r\n\r\n",
    "negative length": _HEAD + b"Content-Length: -1\r\n\r\n",
    "hex length": _HEAD + b"Content-Length: 0x0\r\n\r\n",
    "bare line feed": _HEAD + b"A: b\nContent-Length: 0\r\n\r\n",
    "bare carriage return": _HEAD + b"A: b\rContent-Length: 0\r\n\r\n",
    "folded line": _HEAD + b"A: b\r\n Content-Length: 7\r\nContent-Length: 0\r\n\r\n",
    "folded encoding": _HEAD + b"Transfer-Encoding:\r\n chunked\r\n" + _LENGTH + b"\r\n0\r\n\r\n",
    "space before colon": _HEAD + b"Content-Length : 0\r\n\r\n",
    "space in a name": _HEAD + b"A b: c\r\nContent-Length: 0\r\n\r\n",
    "no colon": _HEAD + b"Ab\r\nContent-Length: 0\r\n\r\n",
    "no name": _HEAD + b": b\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": _HEAD + b"A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "NUL in a name": _HEAD + b"A\0: b\r\nContent-Length: 0\r\n\r\n",
    "chunk of odd size": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "chunked twice": _HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": _HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "no line end but LF": b"POST /webhooks/stream HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
}


@pytest.mark.parametrize("case", SMUGGLED)
async def test_no_request_is_smuggled(tmp_path, case):
    """Of a request that two parsers could read in two ways, what comes behind is never taken."""
    async with opened(tmp_path, header_timeout_s=0.5, body_timeout_s=0.5) as doorway:
        async with connected(doorway.port) as client:
            client.send(SMUGGLED[case] + INNER)
            received = await client.rest()
        assert b"200 OK" not in received
        assert received.startswith(b"HTTP/1.1 4")
        assert doorway.events() == []


async def test_garbage_is_400(tmp_path):
    """What is no HTTP gets one small answer, and the end."""
    async with opened(tmp_path) as doorway:
        for garbage in (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"hello\r\n\r\n", b"\0" * 100):
            async with connected(doorway.port) as client:
                same(await client.ask(garbage), answers.BAD_REQUEST)
                assert await client.rest() == b""


async def test_drain_answers_what_is_under_way(tmp_path):
    """Idle connections close, the answers still due say `Connection: close`, nobody new gets in."""
    async with (
        opened(tmp_path, ack="redis") as doorway,
        connected(doorway.port) as idle,
        connected(doorway.port) as idle_elsewhere,
        connected(doorway.port) as busy,
        connected(doorway.port) as busy_elsewhere,
    ):
        await idle.ask(good(1))
        await idle_elsewhere.ask(good(2, way=QUERY))
        halves = [good(3), good(4, way=QUERY)]
        for client, sent in zip((busy, busy_elsewhere), halves, strict=True):
            client.send(sent[:-10])
        await eventually(
            lambda: sum(not c._fresh for c in doorway.connections if hasattr(c, "_fresh")) == 2
        )
        port = doorway.port
        draining = asyncio.create_task(doorway.listener.drain(60.0))
        assert await idle.rest() == await idle_elsewhere.rest() == b""
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        for client, sent in zip((busy, busy_elsewhere), halves, strict=True):
            client.send(sent[-10:])
            same(await client.response(), answers.STORED, close=True)
            assert await client.rest() == b""
        await draining


async def test_drain_has_an_end(tmp_path):
    """A connection that does not finish in time is cut off."""
    async with opened(tmp_path) as doorway:
        async with connected(doorway.port) as fast, connected(doorway.port) as slow:
            fast.send(good()[:-10])
            slow.send(good(way=QUERY)[:-10])
            await eventually(lambda: len(doorway.connections) == 2)
            await doorway.listener.drain(0.1)
            assert await fast.rest() == await slow.rest() == b""
        assert not doorway.connections


async def flood(client, request):
    """Send without end."""
    while True:
        client.send(request * 1000)
        await client.writer.drain()


@pytest.mark.parametrize("request_", [BAD, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_client_that_reads_nothing_is_cut_off(tmp_path, request_):
    """One that only sends is read no further, and does not keep its place for ever."""
    async with opened(tmp_path, body_timeout_s=0.3) as doorway:
        async with connected(doorway.port) as client:
            client.writer.transport.pause_reading()
            with pytest.raises(ConnectionError):
                await flood(client, request_)
        await eventually(lambda: not doorway.connections)


@pytest.mark.parametrize("seed", range(10))
async def test_however_the_bytes_arrive(tmp_path, seed):
    """A pipeline cut at random places, into pieces that arrive apart, is the same pipeline."""
    chance = random.Random(seed)
    # Once a connection has moved to aiohttp it stays there: begin with some that do not move it.
    ways = [FAST] * chance.randrange(20) + [chance.choice(WAYS) for _ in range(10)]
    wanted, sent = [], b""
    for n, way in enumerate(ways):
        is_good = chance.random() < 0.7
        wanted.append(answers.STORED if is_good else answers.UNAUTHORIZED)
        sent += good(n, way) if is_good else way.request(b"{}", {})
    ack = chance.choice(["journal", "redis"])
    async with opened(tmp_path, ack=ack) as doorway, connected(doorway.port) as client:
        while sent:
            cut = chance.choice([1, 50, 500, 5_000])
            client.send(sent[:cut])
            sent = sent[cut:]
            await asyncio.sleep(0)
        for answer in wanted:
            same(await client.response(), answer)
        stored = [n for n, answer in enumerate(wanted) if answer is answers.STORED]
        assert [each.body for each in doorway.events()] == [distinct_event(n) for n in stored]
