"""Runs against a real server that checks every signature itself."""

import asyncio
import gzip
import hashlib
import hmac
import ssl
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson
import pytest
import trustme
from aiohttp import web
from support.ports import free_port

from gateway.errors import GatewayError
from gateway.sending import NothingListens, NothingToSend, SendPlan, send
from gateway.sending.sender import kind_of

KEY, SECRET = "a-key", "a-secret"


@dataclass
class Receiver:
    """Answers 200 to a webhook whose signature is right, 401 to any other."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list = field(default_factory=list)
    gzipped: int = 0
    connections: set = field(default_factory=set)
    delay_s: float = 0.0
    status: int = 200

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.gzipped += raw[:2] == b"\x1f\x8b"
        body = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        if request.headers["X-SIGNATURE"] != expected or request.headers["X-API-KEY"] != KEY:
            return web.Response(status=401)
        self.bodies.append(body)
        self.headers.append(request.headers)
        self.connections.add(request.transport)
        await asyncio.sleep(self.delay_s)
        return web.Response(status=self.status)

    def plan(self, **more) -> SendPlan:
        return SendPlan(**({"url": self.url, "api_key": KEY, "secret": SECRET} | more))


@asynccontextmanager
async def receiving(handler=None, ssl_context=None):
    receiver = Receiver()
    server = web.Server(handler or receiver.take, auto_decompress=False)
    runner = web.ServerRunner(server)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl_context).start()
    scheme = "https" if ssl_context else "http"
    receiver.url = f"{scheme}://127.0.0.1:{port}/webhooks/stream"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def test_by_default_every_sample_is_sent_once():
    """All 21 samples arrive, correctly signed, under 21 ids."""
    async with receiving() as receiver:
        summary = await send(receiver.plan())
    assert summary.statuses == {200: 21}
    assert summary.ok
    assert len({h["X-WEBHOOK-ID"] for h in receiver.headers}) == 21
    assert {h["Content-Type"] for h in receiver.headers} == {"application/json"}
    assert 0 < summary.latency.p50_ms <= summary.latency.max_ms


async def test_a_type_sent_many_times_is_many_events_over_few_connections():
    """--type and --count repeat a sample, each time a new event; connections are kept."""
    async with receiving() as receiver:
        summary = await send(receiver.plan(types=("custom.small",), count=300, connections=3))
    assert summary.statuses == {200: 300}
    assert len(set(receiver.bodies)) == 300
    assert len(receiver.connections) <= 3


async def test_files_of_ones_own_are_sent_instead(tmp_path):
    """Files replace the samples; one without a time goes out byte for byte."""
    path = tmp_path / "own.json"
    path.write_bytes(b'{"type": "mine"}\n')
    async with receiving() as receiver:
        await send(receiver.plan(files=(path,), count=2))
        await send(receiver.plan(files=(path,), types=("custom.small",)))
    assert receiver.bodies.count(b'{"type": "mine"}\n') == 3
    assert len(receiver.bodies) == 4


async def test_gzip_compresses_the_body_and_signs_what_is_inside():
    """The receiver inflates first and then checks."""
    async with receiving() as receiver:
        summary = await send(receiver.plan(gzip=True))
    assert summary.statuses == {200: 21}
    assert receiver.gzipped == 21
    assert {h["Content-Encoding"] for h in receiver.headers} == {"gzip"}


async def test_a_duplicate_is_the_same_webhook_attempted_again():
    """Each event goes out N times: same body, same id, attempts counted from 1."""
    async with receiving() as receiver:
        summary = await send(receiver.plan(types=("call.*",), count=5, duplicate=3))
    assert summary.requests == 15
    assert set(Counter(receiver.bodies).values()) == {3}
    attempts = Counter((h["X-WEBHOOK-ID"], h["X-WEBHOOK-ATTEMPT"]) for h in receiver.headers)
    assert len(attempts) == 15
    assert {attempt for _, attempt in attempts} == {"1", "2", "3"}


async def test_a_rate_spreads_requests_and_counts_waiting_as_latency():
    """With one connection and a slow receiver, later requests show the time they were due."""
    async with receiving() as receiver:
        receiver.delay_s = 0.05
        summary = await send(
            receiver.plan(types=("custom.small",), count=10, rate_per_s=100, connections=1)
        )
        assert summary.latency.max_ms > 350  # 10 x 50 ms, the last one due after 90 ms
        receiver.delay_s = 0.0
        summary = await send(receiver.plan(types=("custom.small",), count=11, rate_per_s=50))
    assert summary.seconds > 0.19


async def test_refusals_are_counted_and_make_the_run_fail():
    """A wrong secret is 401 for all, told in the summary and the exit code."""
    async with receiving() as receiver:
        summary = await send(receiver.plan(secret="wrong"))
    assert summary.statuses == {401: 21}
    assert summary.exit_code == 1


async def test_a_redirect_is_not_followed():
    """A 3xx is an answer like any other."""

    async def elsewhere(request):
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with receiving(elsewhere) as receiver:
        summary = await send(receiver.plan(count=2))
    assert summary.statuses == {307: 2}
    assert not summary.ok


async def test_a_silent_receiver_is_a_timeout():
    """No answer in time is counted by kind, beside the answers."""
    async with receiving() as receiver:
        receiver.delay_s = 0.5
        summary = await send(receiver.plan(count=2, timeout_s=0.1))
    assert summary.errors == {"timeout": 2}
    assert summary.latency is None


async def test_a_receiver_that_hangs_up_is_counted():
    """A connection closed without an answer is a disconnect, not a crash of the run."""

    async def hang_up(request):
        request.transport.abort()
        return web.Response()

    async with receiving(hang_up) as receiver:
        summary = await send(receiver.plan(count=3))
    assert summary.errors == {"disconnected": 3}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_nobody_there_is_one_clear_line(host):
    """A refused first connection ends the run with what to do."""
    url = f"http://{host}:{free_port()}/webhooks/stream"
    with pytest.raises(
        NothingListens, match=rf"nothing listens on {url}: start it with `make run`"
    ):
        await send(SendPlan(url=url, api_key=KEY, secret=SECRET))


async def test_a_receiver_that_goes_away_later_is_counted():
    """Once there was an answer, refused connections are numbers and the run goes on."""

    async def last_answer(request):
        await listening.stop()
        response = web.Response()
        response.force_close()
        return response

    runner = web.ServerRunner(web.Server(last_answer))
    await runner.setup()
    port = free_port()
    listening = web.TCPSite(runner, "127.0.0.1", port)
    await listening.start()
    url = f"http://127.0.0.1:{port}/"
    summary = await send(SendPlan(url=url, api_key=KEY, secret=SECRET, count=4, connections=1))
    await runner.cleanup()
    assert (summary.statuses, summary.errors) == ({200: 1}, {"refused": 3})


async def test_https_with_ones_own_authority(tmp_path):
    """A certificate is checked, against the authority that the plan names."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with receiving(ssl_context=context) as receiver:
        trusted = await send(receiver.plan(count=2, ca=tmp_path / "ca.pem"))
        distrusted = await send(receiver.plan(count=2))
        with pytest.raises(GatewayError, match=r"missing\.pem"):
            await send(receiver.plan(ca=tmp_path / "missing.pem"))
    assert trusted.statuses == {200: 2}
    assert distrusted.errors == {"tls": 2}


async def test_a_plan_without_bodies_says_what_there_is(tmp_path):
    """An unknown type lists the known ones, a missing file its path."""
    plan = {"url": "http://127.0.0.1:1/", "api_key": KEY, "secret": SECRET}
    with pytest.raises(NothingToSend, match=r"call\.nope; there are: call\.closed_caption, "):
        await send(SendPlan(**plan, types=("call.nope",)))
    with pytest.raises(NothingToSend, match=r"missing\.json"):
        await send(SendPlan(**plan, files=(tmp_path / "missing.json",)))


def test_a_plan_does_not_show_its_secret():
    """A plan may be logged."""
    assert "hush" not in repr(SendPlan(url="http://x/", api_key="k", secret="hush"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (aiohttp.InvalidURL("x"), "bad url"),
        (aiohttp.ServerTimeoutError(), "timeout"),
        (ConnectionResetError(), "disconnected"),
        (aiohttp.ClientConnectorDNSError(None, OSError()), "dns"),
        (aiohttp.ClientConnectorError(None, OSError()), "no connection"),
        (aiohttp.ClientPayloadError(), "cut answer"),
        (aiohttp.ClientError(), "other"),
    ],
)
def test_kinds_of_failure(error, kind):
    """Every failure has a name from a closed set."""
    assert kind_of(error) == kind


async def test_every_body_is_valid_json_still():
    """Fresh bodies parse, and differ from the shipped ones."""
    async with receiving() as receiver:
        await send(receiver.plan())
    types = Counter(orjson.loads(body)["type"] for body in receiver.bodies)
    assert types["custom"] == types["call.session_participant_joined"] == 2
