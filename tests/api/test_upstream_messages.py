"""What of a request goes on to Stream, and what of its answer comes back."""

import json

import pytest
from multidict import CIMultiDict
from yarl import URL

from gateway.api.upstream_messages import (
    ambiguous,
    answer_headers,
    passes,
    request_headers,
    take_watch,
    without_ours,
)


@pytest.mark.parametrize(
    "path",
    [
        "/video/call/default/room",
        "/video/call/default/a%20b%2Fc",
        "/video/call/default/a..b",
        "/api/v2/video/edges",
        "/video/call/default/%F0%9F%8E%88",
        "/video/call/default/a%2525;b",
    ],
)
def test_paths_of_the_video_api_pass(path):
    """What lies below Stream's video API passes, in the encoding that it has."""
    assert passes(path, "api_key=k&x=%20")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/video",
        "/videos/x",
        "/api/v2/users",
        "/webhooks/stream",
        "/video/../api/v2/app",
        "/video/call/..",
        "/video/./call",
        "/video/%2e%2e/app",
        "/video/%2E./app",
        "/video/..%2fapp",
        "/video/x%2f..%2f..%2fapp",
        "/video/..%5capp",
        "/video/..\\app",
        "/video/a b",
        "/video/a%0d%0aHost:%20evil",
        "/video/a%00",
        "/video/\xe9",
        "/video/a\r\nHost: evil",
        "/video/\udce9",
        "/video/..;/x",
        "/video/..;a=b/x",
        "/video/%2e%2e;/x",
        "/video/..%3b/x",
        "/video/%252e%252e/x",
        "/video/%25252e%25252e/x",
        "/video/..%255capp",
        "/video/" + "%25" * 3 + "252525252e/x",
        "/video/a%250d%250aHost:%20evil",
        "/video/%c0%ae%c0%ae/x",
        "/video/%2525252500",
        "/video/x%252f..%252f..%252fapp",
    ],
)
def test_no_path_leads_out(path):
    """Nothing above the video API can be reached, however the way there is written."""
    assert not passes(path, "")


AUTHORIZED = [("Authorization", "jwt"), ("Stream-Auth-Type", "jwt")]


@pytest.mark.parametrize(
    ("query", "headers", "found"),
    [
        ("api_key=k&x=1&x=2", AUTHORIZED, None),
        ("api_key=k&api_key=evil", AUTHORIZED, "api_key"),
        ("api_key=k&api%5Fkey=k", AUTHORIZED, "api_key"),
        ("api_key=k&authorization=jwt", AUTHORIZED, "authorization"),
        ("api_key=k&Authorization=", [], "authorization"),
        ("api_key=k", [*AUTHORIZED, ("authorization", "other")], "Authorization"),
        ("api_key=k", [*AUTHORIZED, ("stream-auth-type", "anonymous")], "Stream-Auth-Type"),
    ],
)
def test_what_could_be_read_in_two_ways(query, headers, found):
    """One app and one user are judged here: none other may be meant there."""
    assert ambiguous(URL(f"/x?{query}", encoded=True).query, CIMultiDict(headers)) == found


@pytest.mark.parametrize("query", ["a b", "x=\r\n", "x=\xe9"])
def test_no_query_breaks_the_request_line(query):
    assert not passes("/video/edges", query)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        ("", ""),
        ("api_key=k", "api_key=k"),
        ("user_id=al%20ice&connection_id=c-1&api_key=k", "user_id=al%20ice&api_key=k"),
        ("connection_id=c-1", ""),
        ("watch=true&watch=false&api_key=k", "api_key=k"),
        ("connection%5Fid=c&w%61tch=1&api_key=k", "api_key=k"),
        ("watch", ""),
        ("watcher=1&rewatch=2&a=watch", "watcher=1&rewatch=2&a=watch"),
        ("q=%7B%22a%22%3A1%7D&&b", "q=%7B%22a%22%3A1%7D&&b"),
    ],
)
def test_only_ours_is_cut_from_a_query(query, left):
    """`connection_id` and `watch` go, however often and in whatever encoding; no byte else."""
    assert without_ours(query) == left


def test_a_body_without_watch_keeps_its_bytes():
    """What need not be changed is not written anew."""
    for body in (
        b"",
        b'{ "limit" : 5 }',
        b'{"filter_conditions":{"cid":{"$in":["default:watch"]}},"n":1e400}',
        b'{"filter_conditions":{"watch":true}}',
        b'{"watch":"maybe", "limit":1}',
        b'{"watch":null}',
        b"no json, but watch",
        b'["watch"]',
        b'{"watch":' + b"[" * 100_000,
        b'\x1f\x8b"watch"',
    ):
        assert take_watch(body) == (body, False)


@pytest.mark.parametrize(
    ("body", "left", "wanted"),
    [
        (b'{"watch":true}', b"{}", True),
        (b'{"watch":false,"limit":2}', b'{"limit":2}', False),
        (b'{"w\\u0061tch": true, "limit":2}', b'{"limit":2}', True),
        (b'{"watch":true,"watch":true,"limit":2}', b'{"limit":2}', True),
        (
            b' { "limit" : 12345678901234567890123, "watch" : true, "f" : {"watch": 1.0,"e":1E2} }',
            b'{"limit":12345678901234567890123,"f":{"watch": 1.0,"e":1E2}}',
            True,
        ),
    ],
)
def test_watch_is_cut_from_a_body(body, left, wanted):
    """The key goes; the values of the others stay byte for byte."""
    assert take_watch(body) == (left, wanted)
    assert json.loads(left).keys() <= json.loads(body).keys()


RECEIVED = CIMultiDict(
    {
        "Host": "gateway.example.com",
        "Authorization": "jwt",
        "stream-auth-type": "jwt",
        "X-Stream-Client": "sdk",
        "x-client-request-id": "r-1",
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        "Accept-Encoding": "gzip, br",
        "User-Agent": "browser",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "1",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Trailer": "x",
        "Transfer-Encoding": "chunked",
        "Upgrade": "websocket",
        "Cookie": "session=1",
        "Proxy-Authorization": "Basic x",
        "Proxy-Connection": "close",
        "Expect": "100-continue",
        "Content-Length": "5",
        "Origin": "https://app.example.com",
        "Referer": "https://app/x",
        "X-Forwarded-For": "10.0.0.1",
        "X-Forwarded-Host": "h",
        "Forwarded": "for=10.0.0.1",
        "X-Real-IP": "10.0.0.1",
        "Via": "1.1 front",
        "Sec-Fetch-Mode": "cors",
        "If-None-Match": '"1"',
        "Range": "bytes=0-1",
    }
)


def test_only_what_is_meant_for_stream_goes_on():
    """Credentials and content pass; what concerns one hop, or our own address, does not."""
    kept = request_headers(RECEIVED, readable=False)
    assert set(kept) == {
        "Authorization",
        "stream-auth-type",
        "X-Stream-Client",
        "x-client-request-id",
        "Content-Type",
        "Content-Encoding",
        "Accept-Encoding",
        "User-Agent",
        "If-None-Match",
        "Range",
    }
    assert kept["Authorization"] == "jwt"


def test_an_answer_that_is_read_comes_whole_and_plain():
    """Where we read Stream's answer it is neither compressed, nor partial, nor a 304."""
    kept = request_headers(RECEIVED, readable=True)
    assert kept.getall("Accept-Encoding") == ["identity"]
    assert not kept.keys() & {"If-None-Match", "Range"}


def test_only_what_is_meant_for_the_caller_comes_back():
    """Rate limits and content pass; cookies, CORS and Stream's own address do not."""
    received = CIMultiDict(
        {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Content-Length": "5",
            "X-RateLimit-Remaining": "59",
            "Retry-After": "3",
            "Date": "now",
            "Set-Cookie": "AWSALB=1",
            "Access-Control-Allow-Origin": "*",
            "Connection": "close, x-y",
            "X-Y": "1",
            "Transfer-Encoding": "chunked",
            "Alt-Svc": "h3",
            "Server": "stream",
            "Strict-Transport-Security": "max-age=1",
            "Trailer": "x",
            "Upgrade": "h2c",
        }
    )
    assert set(answer_headers(received)) == {
        "Content-Type",
        "Content-Encoding",
        "X-RateLimit-Remaining",
        "Retry-After",
        "Date",
        "Server",
    }
