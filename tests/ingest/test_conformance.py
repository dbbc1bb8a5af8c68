"""The same answers over both paths: each case is put in every way that a request can take."""

import gzip

import pytest
from support.doorway import FAST, MAX_BODY, OTHER, QUERY, Way, ask, connected, opened, same
from support.eventually import eventually
from support.webhooks import distinct_event, signed_request

from gateway.ingest import answers
from gateway.ingest.aiohttp_connection import GuardedHandler
from gateway.ingest.connection import WebhookConnection
from gateway.options import JournalOptions

BODY = distinct_event(1)
ZIPPED = gzip.compress(BODY, mtime=0)


def signed(body=BODY, **more):
    return {**signed_request(body), **more}


def without(headers, *names):
    return {name: text for name, text in headers.items() if name not in names}


def forged(signature):
    return signed(**{"X-SIGNATURE": signature})


GOOD_SIGNATURE = signed()["X-SIGNATURE"]
OLD = signed_request(BODY, secret="other-old", api_key=OTHER.api_key)
LONG = b'{"type":"custom","pad":"%b"}' % (b"x" * MAX_BODY)
ACCEPTED = {
    "plain": (BODY, signed()),
    "lower-case names": (BODY, {name.lower(): text for name, text in signed().items()}),
    "gzip": (ZIPPED, signed(**{"Content-Encoding": "gzip"})),
    "gzip without its header": (ZIPPED, signed()),
    "gzip header, plain body": (BODY, signed(**{"Content-Encoding": "gzip"})),
    "br header, plain body": (BODY, signed(**{"Content-Encoding": "br"})),
    "the older of two secrets": (BODY, OLD),
    "no key: every secret is tried": (BODY, without(OLD, "X-API-KEY")),
    "empty key: as none": (BODY, {**OLD, "X-API-KEY": ""}),
    "no webhook id": (BODY, without(signed(), "X-WEBHOOK-ID")),
}
REFUSED = {
    "no signature": (BODY, without(signed(), "X-SIGNATURE"), answers.UNAUTHORIZED),
    "empty signature": (BODY, forged(""), answers.UNAUTHORIZED),
    "short": (BODY, forged(GOOD_SIGNATURE[:-1]), answers.UNAUTHORIZED),
    "long": (BODY, forged(GOOD_SIGNATURE + "0"), answers.UNAUTHORIZED),
    "upper case": (BODY, forged(GOOD_SIGNATURE.upper()), answers.UNAUTHORIZED),
    "wrong": (BODY, forged("0" * 64), answers.UNAUTHORIZED),
    "non-ASCII": (BODY, forged("\xe9" * 64), answers.UNAUTHORIZED),
    "another body's": (BODY, signed_request(b"{}"), answers.UNAUTHORIZED),
    "unknown key": (BODY, signed(**{"X-API-KEY": "stranger"}), answers.UNAUTHORIZED),
    "another app's key": (BODY, signed(**{"X-API-KEY": OTHER.api_key}), answers.UNAUTHORIZED),
    "over the packed bytes": (ZIPPED, signed_request(ZIPPED), answers.UNAUTHORIZED),
    "torn gzip": (ZIPPED[:-4], signed(), answers.UNAUTHORIZED),
    "two members": (ZIPPED + ZIPPED, signed(), answers.UNAUTHORIZED),
    "brotli": (b"\x0b\x02\x80", signed(**{"Content-Encoding": "br"}), answers.UNSUPPORTED_ENCODING),
    "bomb": (gzip.compress(bytes(10 << 20)), signed(), answers.INFLATES_TOO_LARGE),
    "inflates beyond the bound": (gzip.compress(LONG), signed(LONG), answers.INFLATES_TOO_LARGE),
    "beyond the bound": (LONG, signed(LONG), answers.TOO_LARGE),
}


@pytest.mark.parametrize("case", ACCEPTED)
async def test_a_signed_webhook_is_stored_as_it_was_signed(doorway, way, case):
    """What is signed is answered 200 and journaled: the inflated bytes, whatever the headers."""
    body, headers = ACCEPTED[case]
    same(await ask(doorway.port, way.request(body, headers)), answers.STORED)
    (event,) = doorway.events()
    assert (event.body, event.type, event.call_cid) == (BODY, "custom", "default:call-1")


@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_is_the_same_over_every_path(doorway, way, case):
    """Status, headers and body of a refusal do not tell which path it took, nor which check."""
    body, headers, answer = REFUSED[case]
    same(await ask(doorway.port, way.request(body, headers)), answer)
    assert doorway.events() == []
    assert doorway.answered(answer.status) == 1


async def test_a_duplicate_is_stored_too(doorway, way):
    """A webhook sent twice is answered 200 twice, on one connection."""
    async with connected(doorway.port) as client:
        for _ in range(2):
            same(await client.ask(way.request(BODY, signed())), answers.STORED)


async def test_a_refusal_keeps_the_connection(doorway, way):
    """After a 401, whose request was read to its end, the connection goes on."""
    async with connected(doorway.port) as client:
        same(await client.ask(way.request(BODY, {})), answers.UNAUTHORIZED)
        same(await client.ask(way.request(BODY, signed())), answers.STORED)


async def test_a_client_that_wants_to_close_is_closed(doorway):
    """`Connection: close` is honoured after the answer, which repeats it."""
    for way in (FAST, QUERY):
        async with connected(doorway.port) as client:
            client.send(way.request(BODY, signed(), extra="Connection: close\r\n"))
            same(await client.response(), answers.STORED, close=True)
            assert await client.rest() == b""


async def test_a_full_journal_is_503(tmp_path, way):
    """When nothing more can be stored the sender is asked to come back, and the port stays open."""
    tight = JournalOptions(max_bytes=2_000, segment_bytes=1_000)
    async with opened(tmp_path, journal=tight) as doorway, connected(doorway.port) as client:
        for n in range(20):
            body = distinct_event(n, size_bytes=500)
            response = await client.ask(way.request(body, signed_request(body)))
            if response.status != 200:
                break
        same(response, answers.JOURNAL_FULL)


async def test_a_body_without_length_is_411(doorway):
    """A POST with neither Content-Length nor chunks is asked for one."""
    for query in ("", "?x=1"):
        head = f"POST /webhooks/stream{query} HTTP/1.1\r\nHost: x\r\n\r\n"
        same(await ask(doorway.port, head.encode()), answers.LENGTH_REQUIRED)


async def test_other_methods_and_paths(doorway):
    """405 names what is allowed; 404 says nothing more."""
    for method in ("GET", "PUT", "DELETE", "PATCH", "OPTIONS"):
        head = f"{method} /webhooks/stream HTTP/1.1\r\nHost: x\r\n\r\n"
        same(await ask(doorway.port, head.encode()), answers.METHOD_NOT_ALLOWED)
    for path in ("/", "/webhooks", "/webhooks/stream/", "/webhooks/streams"):
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        same(await ask(doorway.port, head.encode()), answers.NOT_FOUND)


async def test_over_long_heads_are_431(doorway):
    """One long header, many headers, or a long address: 431, and the connection ends."""
    for query in ("", "?x=1"):
        for lines in (b"A: %b\r\n" % (b"x" * 20_000), b"A: b\r\n" * 5_000):
            head = f"POST /webhooks/stream{query} HTTP/1.1\r\nHost: x\r\n".encode() + lines
            same(await ask(doorway.port, head), answers.HEADERS_TOO_LARGE)
    long = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 20_000)
    same(await ask(doorway.port, long), answers.HEADERS_TOO_LARGE)


async def test_a_declared_body_is_refused_unread(doorway):
    """A Content-Length beyond the bound is 413 at once, and while the body is still being sent."""
    for query in ("", "?x=1"):
        head = (
            f"POST /webhooks/stream{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
        )
        async with connected(doorway.port) as client:
            client.send(head.encode())
            client.send(bytes(50_000))
            same(await client.response(), answers.TOO_LARGE)


async def test_expect(doorway):
    """`100-continue` is answered before the body is sent, unless that would be too long."""
    whole = FAST.request(BODY, signed(), extra="Expect: 100-continue\r\n")
    async with connected(doorway.port) as client:
        client.send(whole[: -len(BODY)])
        assert (await client.response()).status == 100
        same(await client.ask(BODY), answers.STORED)
    head = b"POST /webhooks/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n"
    response = await ask(doorway.port, head + b"Expect: 100-continue\r\n\r\n")
    same(response, answers.TOO_LARGE)
    response = await ask(doorway.port, FAST.request(BODY, {}, extra="Expect: tea\r\n"))
    same(response, answers.EXPECTATION_FAILED)


async def test_byte_by_byte(doorway, way):
    """A request that comes in single bytes is the same request."""
    async with connected(doorway.port) as client:
        sent = way.request(BODY, signed())
        for n in range(len(sent)):
            client.send(sent[n : n + 1])
            await client.writer.drain()
        same(await client.response(), answers.STORED)


@pytest.mark.parametrize(
    "body", [b"[]", b"7", b"{", b'{"type":1}', b"{}", b"\xff", b"", b'{"a":' * 200]
)
async def test_what_is_signed_is_never_refused(doorway, way, body):
    """A signed body that is no event is stored, and says so."""
    same(await ask(doorway.port, way.request(body, signed_request(body))), answers.STORED)
    (event,) = doorway.events()
    assert (event.body, event.unfit, event.type) == (body, "not_an_event", "")


async def test_only_plain_webhooks_stay_on_the_fast_path(doorway, way):
    """The two paths of this suite are two: what is unusual has aiohttp's handler afterwards."""
    async with connected(doorway.port) as client:
        await client.ask(FAST.request(BODY, signed()))
        await client.ask(way.request(BODY, signed()))
        (connection,) = doorway.connections
        assert isinstance(connection, WebhookConnection if way is FAST else GuardedHandler)


async def test_health(doorway):
    """/healthz and /readyz answer without detail."""
    for path in ("/healthz", "/readyz"):
        response = await ask(doorway.port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert (response.status, response.body) == (200, b'{"status": "ok"}')


async def test_a_refused_signature_is_counted_by_app_and_logged_seldom(doorway, caplog):
    """The label is a configured app or `unknown`, never what the outside calls itself."""
    for key in ("demo-key", "demo-key", "stranger", "stranger-2"):
        await ask(doorway.port, FAST.request(BODY, {**forged("0" * 64), "X-API-KEY": key}))
    assert doorway.metrics.unauthorized.values == {("demo-key",): 2, ("unknown",): 2}
    refused = [record for record in caplog.records if "signature" in record.getMessage()]
    assert len(refused) == 2


async def test_a_client_that_leaves_in_the_middle_is_no_fault(doorway, caplog):
    """A connection cut within a body is forgotten without a line."""
    for way in (FAST, QUERY, Way("chunked", chunked=True)):
        async with connected(doorway.port) as client:
            client.send(way.request(BODY, signed())[:-20])
            await eventually(lambda: doorway.connections)
        await eventually(lambda: not doorway.connections)
    assert caplog.records == []
