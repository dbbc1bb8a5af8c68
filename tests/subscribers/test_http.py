"""Kind http against a real receiver that misbehaves in every way we know of."""

import asyncio
import contextlib

import pytest
import trustme
from attempts import BODY, DEMO, attempt
from support.eventually import eventually
from support.receiver import (
    black_hole,
    drip,
    endless,
    hang_up,
    malformed,
    ok,
    raw,
    redirect,
    reset,
    running_receiver,
    status,
    too_many,
)

from gateway import native
from gateway.errors import ConfigError
from gateway.options import HttpOptions
from gateway.subscribers.headers import DeliveryHead
from gateway.subscribers.http import HttpSubscriber, reason_of
from gateway.subscribers.outcome import Delivered, Failed, Reason

NOW_MS = 1_700_000_000_000


@pytest.fixture(params=["native", "python"], autouse=True)
def sending(request, monkeypatch):
    """With the C piece, which sends past the transport, and without it."""
    if request.param == "python":
        monkeypatch.setattr(native, "send", None)
    elif native.send is None:
        pytest.skip("the C piece is not built here")


@contextlib.asynccontextmanager
async def subscriber_to(url, *, concurrency=8, **options):
    http = HttpOptions(url=url, **options)
    head = DeliveryHead(url, apps=(DEMO,), configured=http.headers, user_agent="gateway/test")
    subscriber = HttpSubscriber(http, head, concurrency=concurrency, now_ms=lambda: NOW_MS)
    try:
        yield subscriber
    finally:
        await subscriber.close()


async def outcome_of(behaviour, *, timeout_s=60.0, **options):
    async with (
        running_receiver([behaviour]) as receiver,
        subscriber_to(receiver.url, **options) as subscriber,
    ):
        return await subscriber.attempt(attempt(timeout_s=timeout_s))


async def test_the_body_arrives_as_it_was_signed():
    """The receiver gets exactly the bytes that were signed, as JSON, uncompressed."""
    async with running_receiver() as receiver, subscriber_to(receiver.url) as subscriber:
        assert await subscriber.attempt(attempt()) == Delivered(200)
    (request,) = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/stream", BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["content-length"] == str(len(BODY))


async def test_a_body_beyond_a_mebibyte_arrives():
    """A body as large as the configuration allows goes out like any other."""
    large = b'{"type":"x","a":"' + b"x" * (3 << 20) + b'"}'
    async with running_receiver() as receiver, subscriber_to(receiver.url) as subscriber:
        assert await subscriber.attempt(attempt(body=large)) == Delivered(200)
    assert receiver.bodies == [large]
    assert receiver.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (301, Reason.REJECTED),
        (304, Reason.REJECTED),
        (400, Reason.REJECTED),
        (401, Reason.UNAUTHORIZED),
        (403, Reason.UNAUTHORIZED),
        (404, Reason.UNAUTHORIZED),
        (408, Reason.STATUS),
        (410, Reason.GONE),
        (422, Reason.REJECTED),
        (429, Reason.STATUS),
        (500, Reason.STATUS),
        (503, Reason.STATUS),
        (599, Reason.STATUS),
    ],
)
async def test_each_status_has_its_reason(code, reason):
    """A failing status becomes the reason that decides about the retry, and keeps its number."""
    outcome = await outcome_of(status(code))
    assert (outcome.reason, outcome.status) == (reason, code)


@pytest.mark.parametrize("code", [200, 201, 202, 204, 299])
def test_every_2xx_delivers(code):
    """Any 2xx is a delivery."""
    assert reason_of(code) is None


async def test_the_snippet_is_the_start_of_the_answer():
    """A failure keeps the first 512 bytes of the answer; what is no text is replaced."""
    outcome = await outcome_of(status(500, body=b"oops \xff" + b"y" * 5000))
    assert outcome.snippet.startswith("oops \ufffdy")
    assert len(outcome.snippet) == 512


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0), ("soon", None)],
)
async def test_retry_after_is_read(text, seconds):
    """Retry-After counts in seconds or names a date; nonsense is as if it were absent."""
    assert (await outcome_of(too_many(text))).retry_after_s == seconds


async def test_redirects_are_not_followed():
    """A redirect is a rejection, and its target is never called."""
    async with (
        running_receiver() as target,
        running_receiver([redirect(target.url)]) as receiver,
        subscriber_to(receiver.url) as subscriber,
    ):
        outcome = await subscriber.attempt(attempt())
    assert (outcome.reason, outcome.status) == (Reason.REJECTED, 302)
    assert target.requests == []


@pytest.mark.parametrize(
    "behaviour",
    [
        reset(),
        hang_up(),
        malformed(),
        raw(b"HTTP/1.1 2000000 OK\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: y"),
    ],
    ids=["reset", "hang_up", "malformed", "bad_status", "cut_short"],
)
async def test_a_broken_answer_is_a_network_failure(behaviour):
    """Without a status there is no delivery: a reset, an end in the head, or no HTTP at all."""
    outcome = await outcome_of(behaviour)
    assert (outcome.reason, outcome.status) == (Reason.NETWORK, None)
    assert outcome.detail


@pytest.mark.parametrize("behaviour", [black_hole(), drip(every_s=0.05)], ids=["hole", "drip"])
async def test_no_status_in_time_is_a_timeout(behaviour):
    """Silence, or a byte now and then, ends when the attempt's time is up."""
    outcome = await outcome_of(behaviour, timeout_s=0.3)
    assert outcome.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (endless(200), Delivered(200)),
        (endless(200, chunk=b"x", every_s=0.05), Delivered(200)),
        (endless(500), Reason.STATUS),
        (endless(500, chunk=b"x", every_s=0.05), Reason.STATUS),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), Delivered(200)),
    ],
    ids=["200_flood", "200_drip", "500_flood", "500_drip", "200_cut_short"],
)
async def test_the_status_decides_whatever_the_body_does(behaviour, expected):
    """Once the status is here, a body without end or cut short changes nothing, and is not read
    for longer than the attempt may take.
    """
    outcome = await outcome_of(behaviour, timeout_s=1.0)
    assert outcome == expected if isinstance(expected, Delivered) else outcome.reason is expected


_OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        _OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"Content-Length: 2, 2\r\n\r\nok",
        _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        _OK + b"Content-Security-Policy: a;\r\n  b\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X: " + b"x" * 100_000 + b"\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X-A : 1\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X Powered By: a\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"X-Trace: a\x01b\r\nContent-Length: 2\r\n\r\nok",
        _OK + b"bad header\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    ],
    ids=[
        "equal_lengths",
        "listed_lengths",
        "length_and_chunks",
        "folded",
        "long_line",
        "space_before_colon",
        "space_in_name",
        "control_character",
        "no_colon",
        "bare_line_feeds",
    ],
)
async def test_a_200_in_an_imperfect_head_delivers(answer):
    """A receiver that says 200 has got the event, however it says so."""
    assert await outcome_of(raw(answer)) == Delivered(200)


async def test_an_imperfect_head_loses_its_connection_only():
    """The next attempt goes out on a connection of its own, at once."""
    async with (
        running_receiver([raw(_OK + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\nok")]) as receiver,
        subscriber_to(receiver.url, concurrency=1) as subscriber,
    ):
        assert await subscriber.attempt(attempt()) == Delivered(200)
        assert await subscriber.attempt(attempt()) == Delivered(200)
    assert [request.connection for request in receiver.requests] == [1, 2]


async def test_an_endless_answer_loses_its_connection():
    """A connection with an answer that does not end is dropped; the next attempt gets another."""
    async with (
        running_receiver([endless()]) as receiver,
        subscriber_to(receiver.url) as subscriber,
    ):
        assert await subscriber.attempt(attempt()) == Delivered(200)
        assert await subscriber.attempt(attempt()) == Delivered(200)
        await eventually(lambda: receiver.open_connections == 1)
    assert [request.connection for request in receiver.requests] == [1, 2]


async def test_connections_are_kept_alive():
    """Attempts one after the other share a connection, failed ones too."""
    async with (
        running_receiver([ok(), status(500, body=b"no"), ok()]) as receiver,
        subscriber_to(receiver.url) as subscriber,
    ):
        for _ in range(3):
            await subscriber.attempt(attempt())
    assert receiver.connections == 1


async def test_the_pool_has_the_size_of_the_concurrency():
    """No more connections than the subscriber's concurrency, however many attempts."""
    async with (
        running_receiver(otherwise=ok(after_s=0.02)) as receiver,
        subscriber_to(receiver.url, concurrency=2) as subscriber,
    ):
        outcomes = await asyncio.gather(*(subscriber.attempt(attempt()) for _ in range(8)))
    assert set(outcomes) == {Delivered(200)}
    assert receiver.connections == 2


async def test_nobody_listening_is_a_network_failure():
    """A refused connection says so, and does not quote the URL."""
    async with running_receiver() as receiver:
        url = receiver.url
    async with subscriber_to(f"{url}?token=sesame") as subscriber:
        outcome = await subscriber.attempt(attempt())
    assert outcome.reason is Reason.NETWORK
    assert "refused" in outcome.detail.lower()
    assert "sesame" not in repr(outcome)


async def test_a_name_that_does_not_exist_is_a_network_failure():
    """A host that cannot be resolved is a failure that may heal."""
    async with subscriber_to("http://nobody.invalid/x") as subscriber:
        outcome = await subscriber.attempt(attempt())
    assert outcome.reason is Reason.NETWORK


async def test_proxies_of_the_environment_are_ignored(monkeypatch):
    """HTTP_PROXY does not divert what is delivered."""
    async with running_receiver() as proxy, running_receiver() as receiver:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with subscriber_to(receiver.url) as subscriber:
            assert await subscriber.attempt(attempt()) == Delivered(200)
    assert proxy.requests == []


async def test_cookies_are_not_kept():
    """What a receiver sets as a cookie does not come back to it."""
    async with (
        running_receiver([status(200, ("Set-Cookie", "a=b; Path=/"))]) as receiver,
        subscriber_to(receiver.url.replace("127.0.0.1", "localhost")) as subscriber,
    ):
        await subscriber.attempt(attempt())
        await subscriber.attempt(attempt())
    assert "cookie" not in receiver.requests[1].headers


async def test_a_hostile_webhook_id_does_not_break_the_request():
    """X-WEBHOOK-ID is not signed: one that cannot stand in a header gives way to the key."""
    async with running_receiver() as receiver, subscriber_to(receiver.url) as subscriber:
        hostile = attempt(webhook_id="a\r\nX-Evil: 1")
        assert await subscriber.attempt(hostile) == Delivered(200)
    assert receiver.requests[0].headers["x-webhook-id"] == hostile.meta.key
    assert "x-evil" not in receiver.requests[0].headers


async def test_cancelling_an_attempt_leaves_no_connection():
    """A cancelled attempt raises the cancellation, and its connection goes."""
    async with (
        running_receiver([black_hole()]) as receiver,
        subscriber_to(receiver.url) as subscriber,
    ):
        task = asyncio.create_task(subscriber.attempt(attempt()))
        await eventually(lambda: receiver.requests)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: receiver.open_connections == 0)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def server_tls(authority, *, client_required=False):
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if client_required:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def test_a_private_authority_is_trusted_when_configured(authority, ca_file):
    """With `ca`, a receiver whose certificate that authority signed gets its events."""
    async with (
        running_receiver(tls=server_tls(authority)) as receiver,
        subscriber_to(receiver.url, ca=ca_file) as subscriber,
    ):
        assert await subscriber.attempt(attempt()) == Delivered(200)


async def test_an_unknown_authority_is_a_network_failure(authority):
    """A certificate that nobody vouches for gets no event."""
    async with (
        running_receiver(tls=server_tls(authority)) as receiver,
        subscriber_to(receiver.url) as subscriber,
    ):
        outcome = await subscriber.attempt(attempt())
    assert outcome.reason is Reason.NETWORK
    assert outcome.detail.startswith("TLS: ")
    assert receiver.requests == []


async def test_the_client_certificate_is_shown(authority, ca_file, tmp_path):
    """A receiver that asks for a certificate gets the configured one."""
    client = authority.issue_cert("gateway.test")
    key, cert = tmp_path / "client.key", tmp_path / "client.pem"
    client.private_key_pem.write_to_path(key)
    client.cert_chain_pems[0].write_to_path(cert)
    async with running_receiver(tls=server_tls(authority, client_required=True)) as receiver:
        with_it = subscriber_to(receiver.url, ca=ca_file, client_cert=cert, client_key=key)
        async with with_it as subscriber:
            assert await subscriber.attempt(attempt()) == Delivered(200)
        async with subscriber_to(receiver.url, ca=ca_file) as subscriber:
            outcome = await subscriber.attempt(attempt())
    assert isinstance(outcome, Failed)
    assert outcome.reason is Reason.NETWORK


async def test_a_missing_certificate_file_is_a_configuration_error(tmp_path):
    """TLS files that cannot be read are refused when the subscriber is made."""
    with pytest.raises(ConfigError, match="TLS"):
        async with subscriber_to("https://127.0.0.1/", ca=tmp_path / "nothing.pem"):
            pass
