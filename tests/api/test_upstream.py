"""Stream's API as the gateway asks it: a real server behind, and what can go wrong with it."""

import asyncio
import contextlib
import gzip
import ssl

import aiohttp
import pytest
import trustme
from aiohttp import web
from support.ports import free_port
from support.receiver import (
    black_hole,
    drip,
    endless,
    hang_up,
    malformed,
    raw,
    redirect,
    reset,
    running_receiver,
    status,
)
from support.stream_client import Reply
from yarl import URL

from gateway.api.upstream import Upstream, UpstreamFailed
from gateway.errors import ConfigError
from gateway.metrics import Metrics
from gateway.options import UpstreamOptions
from gateway.tasks import end


class Front:
    """A server that passes everything on, as the gateway's handlers do, and a client of it."""

    def __init__(self, session, port, metrics):
        self.session, self.port, self.metrics = session, port, metrics

    async def ask(self, method="GET", target="/video/edges?api_key=k", **more):
        url = URL(f"http://127.0.0.1:{self.port}{target}", encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **more) as response:
            return Reply(response.status, response.headers, await response.read())

    def counted(self, result):
        return self.metrics.upstream_requests.values.get((result,), 0)


@contextlib.asynccontextmanager
async def front(url, *, readable=False, **options):
    metrics = Metrics()
    upstream = Upstream(UpstreamOptions(url=url, **options), metrics)

    async def handle(request):
        try:
            answer = await upstream.ask(request, await request.read(), readable=readable)
        except UpstreamFailed as error:
            return web.Response(
                status=error.status,
                headers={"Code": str(error.code), "Wait": str(error.retry_after_s)},
            )
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield Front(session, runner.addresses[0][1], metrics)
    finally:
        await runner.cleanup()
        await upstream.close()


def code(reply):
    return int(reply.headers["Code"])


BODY = b'{ "edges" : [1e400, "\\u003c"] }'


async def test_a_request_and_its_answer_pass_as_they_are():
    """Method, path, query and both bodies keep their bytes, whatever is in them."""
    script = [
        status(201, ("Content-Type", "application/json"), ("X-RateLimit-Limit", "60"), body=BODY)
    ]
    async with running_receiver(script) as stream, front(f"http://127.0.0.1:{stream.port}") as one:
        sent = gzip.compress(b"{}")
        reply = await one.ask(
            "PATCH",
            "/video/call/default/a%20b%2Fc?connection_id=c-1&api_key=k&x=%2B+%E9&watch=true",
            data=sent,
            headers={
                "Authorization": "jwt",
                "Content-Encoding": "gzip",
                "X-Forwarded-For": "10.0.0.1",
            },
        )
        (request,) = stream.requests
    assert request.method == "PATCH"
    assert request.path == "/video/call/default/a%20b%2Fc?api_key=k&x=%2B+%E9"
    assert request.body == sent
    assert request.headers["host"] == f"127.0.0.1:{stream.port}"
    assert request.headers["authorization"] == "jwt"
    assert request.headers["content-encoding"] == "gzip"
    assert "x-forwarded-for" not in request.headers
    assert (reply.status, reply.body) == (201, BODY)
    assert reply.headers["X-RateLimit-Limit"] == "60"
    assert one.counted("2xx") == 1


async def test_nothing_is_added_to_a_request():
    """Stream sees the caller's headers, not those of our client library."""
    async with running_receiver() as stream, front(f"http://127.0.0.1:{stream.port}") as one:
        skipped = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        await one.ask("POST", skip_auto_headers=skipped)
        await one.ask("PUT", data=b"{}", skip_auto_headers=skipped)
    host = f"127.0.0.1:{stream.port}"
    assert [request.headers for request in stream.requests] == [
        {"host": host, "content-length": length} for length in ("0", "2")
    ]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_passes(method):
    async with running_receiver() as stream, front(f"http://127.0.0.1:{stream.port}") as one:
        assert (await one.ask(method)).status == 200
        assert [request.method for request in stream.requests] == [method]


async def test_a_path_before_streams_own_is_kept():
    """Stream may be reached through a proxy that has it below a path of its own."""
    async with running_receiver() as stream:
        async with front(f"http://127.0.0.1:{stream.port}/stream%20api/") as one:
            assert (await one.ask()).status == 200
        assert [request.path for request in stream.requests] == [
            "/stream%20api/video/edges?api_key=k"
        ]


@pytest.mark.parametrize("target", ["/video/../app", "/video/%2e%2e/app", "/app", "/video/a%00b"])
async def test_what_lies_elsewhere_is_not_asked(target):
    """No request leaves Stream's video API; the refusal is Stream's code 4."""
    async with running_receiver() as stream, front(f"http://127.0.0.1:{stream.port}") as one:
        reply = await one.ask(target=target)
        assert (reply.status, code(reply)) == (400, 4)
        assert stream.requests == []


async def test_a_redirect_is_the_callers_business():
    """It is not followed: the credentials go to Stream and nowhere else."""
    async with running_receiver() as elsewhere:
        script = [redirect(elsewhere.url)]
        async with (
            running_receiver(script) as stream,
            front(f"http://127.0.0.1:{stream.port}") as one,
        ):
            reply = await one.ask()
            assert (reply.status, reply.headers["Location"]) == (302, elsewhere.url)
            assert elsewhere.requests == []


async def test_no_proxy_of_the_environment_is_used(monkeypatch):
    """HTTP_PROXY, which many hosts set, does not get to see credentials."""
    async with running_receiver() as proxy, running_receiver() as stream:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with front(f"http://127.0.0.1:{stream.port}") as one:
            assert (await one.ask()).status == 200
        assert (len(stream.requests), len(proxy.requests)) == (1, 0)


async def test_a_cookie_of_streams_is_nobodys():
    """Neither kept by us nor handed to the caller."""
    cookie = status(200, ("Set-Cookie", "AWSALB=1; Path=/"))
    async with (
        running_receiver([cookie]) as stream,
        front(f"http://127.0.0.1:{stream.port}") as one,
    ):
        assert "Set-Cookie" not in (await one.ask()).headers
        await one.ask()
        assert "cookie" not in stream.requests[1].headers


async def test_a_connection_is_used_again():
    async with running_receiver() as stream, front(f"http://127.0.0.1:{stream.port}") as one:
        for _ in range(3):
            await one.ask("POST", data=b"{}")
        assert (len(stream.requests), stream.connections) == (3, 1)


LATE = {
    "never": black_hole(),
    "the head": drip(),
    "the body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b"x" * 9999, 0.1),
}


async def test_an_answer_has_its_time():
    """One deadline covers the whole exchange: then 504 with Stream's code 23."""
    async with running_receiver(list(LATE.values())) as stream:
        async with front(f"http://127.0.0.1:{stream.port}", timeout_s=2.5) as one:
            async with asyncio.timeout(60):
                replies = await asyncio.gather(*(one.ask() for _ in LATE))
            assert [(reply.status, code(reply)) for reply in replies] == [(504, 23)] * len(LATE)
            assert one.counted("timeout") == len(LATE)
            assert (await one.ask()).status == 200, "the next one is not held up"


async def test_stream_away_is_a_503():
    """Nobody listens: nothing was sent, so the caller may come again, and is told when."""
    async with front(f"http://127.0.0.1:{free_port()}") as one:
        reply = await one.ask("POST", data=b"{}")
    assert (reply.status, code(reply)) == (503, -1)
    assert int(reply.headers["Wait"]) >= 1
    assert one.counted("unreachable") == 1


@pytest.mark.parametrize(
    "behaviour",
    [
        malformed(),
        reset(),
        hang_up(),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"),
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    ],
    ids=["malformed", "reset", "hang_up", "half", "long_header", "switched"],
)
async def test_a_broken_answer_is_a_502(behaviour):
    """Whether Stream has done it is unknown: the caller is told, and it is not asked twice."""
    async with running_receiver([behaviour]) as stream:
        async with front(f"http://127.0.0.1:{stream.port}", timeout_s=30) as one:
            reply = await one.ask("POST", data=b"{}")
            assert (reply.status, code(reply)) == (502, -1)
            assert len(stream.requests) == 1
            assert (await one.ask()).status == 200


async def test_an_answer_has_its_bound():
    """An answer of exactly the bound passes, a larger or endless one is a 502."""
    script = [status(200, body=b"x" * 1000), status(200, body=b"x" * 1001), endless()]
    async with running_receiver(script) as stream:
        async with front(f"http://127.0.0.1:{stream.port}", max_response_bytes=1000) as one:
            assert (await one.ask()).body == b"x" * 1000
            for _ in range(2):
                reply = await one.ask()
                assert (reply.status, code(reply)) == (502, -1)
            assert one.counted("too_large") == 2


async def test_a_compressed_answer_stays_compressed():
    """The bytes are the caller's: nothing is inflated on the way, however large it would be."""
    body = gzip.compress(b"x" * 100_000)
    script = [status(200, ("Content-Encoding", "gzip"), body=body)]
    async with running_receiver(script) as stream:
        async with front(f"http://127.0.0.1:{stream.port}", max_response_bytes=1000) as one:
            reply = await one.ask(headers={"Accept-Encoding": "gzip"})
            assert (reply.body, reply.headers["Content-Encoding"]) == (body, "gzip")
            assert stream.requests[0].headers["accept-encoding"] == "gzip"


async def test_requests_do_not_wait_for_one_another():
    """One that hangs costs only itself."""
    hung = asyncio.Event()

    def behave(request):
        hung.set()
        return black_hole() if request.path.startswith("/video/slow") else status(200)

    async with running_receiver(behave) as stream:
        async with front(f"http://127.0.0.1:{stream.port}", timeout_s=60) as one:
            slow = asyncio.create_task(one.ask(target="/video/slow"))
            await hung.wait()
            assert (await one.ask()).status == 200
            assert not slow.done()
            await end([slow])


async def test_what_waits_for_stream_has_a_bound(monkeypatch):
    """Beyond it requests are refused at once, and nothing of them is sent."""
    monkeypatch.setattr("gateway.api.upstream.MAX_UNDER_WAY", 1)
    taken = asyncio.Event()

    def behave(request):
        taken.set()
        return black_hole()

    async with running_receiver(behave) as stream:
        async with front(f"http://127.0.0.1:{stream.port}", timeout_s=60) as one:
            hung = asyncio.create_task(one.ask())
            await taken.wait()
            reply = await one.ask("POST", data=b"{}")
            assert (reply.status, code(reply)) == (503, -1)
            assert not hung.done()
            await end([hung])
            assert len(stream.requests) == 1
            assert one.counted("too_many") == 1


async def test_stream_is_trusted_by_its_certificate(tmp_path):
    """HTTPS with the configured authority works; an unknown certificate sends nothing."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    async with running_receiver(tls=server) as stream:
        url = f"https://localhost:{stream.port}"
        async with front(url, ca=ca) as one:
            assert (await one.ask()).status == 200
        async with front(url) as one:
            reply = await one.ask()
            assert (reply.status, code(reply)) == (503, -1)
        assert len(stream.requests) == 1


async def test_an_unusable_authority_is_a_mistake_in_the_configuration(tmp_path):
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(ConfigError, match="upstream.ca"):
        Upstream(UpstreamOptions(url="https://h", ca=tmp_path / "ca.pem"), Metrics())


async def test_no_log_line_holds_credentials(caplog):
    """What is logged about a failure names neither token nor URL."""
    async with front(f"http://127.0.0.1:{free_port()}") as one:
        await one.ask(target="/video/edges?api_key=key-1", headers={"Authorization": "jwt-1"})
    async with running_receiver([malformed()]) as stream:
        async with front(f"http://127.0.0.1:{stream.port}") as one:
            await one.ask(target="/video/edges?api_key=key-1", headers={"Authorization": "jwt-1"})
    assert "Stream cannot be reached" in caplog.text
    assert "Stream has not answered properly" in caplog.text
    for told in ("jwt-1", "key-1", "/video/edges"):
        assert told not in caplog.text
