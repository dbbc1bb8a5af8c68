"""What clients ask of the plain feed, where their token may be, and which pages may ask."""

import orjson
import pytest
from multidict import MultiDict

from gateway.feed.origins import is_allowed
from gateway.feed.plain.credentials import FeedCredentials, read_headers
from gateway.feed.plain.requests import BadRequest, read_message, read_query
from gateway.feed.plain.type_filter import TypeFilter, TypeFilterError


def test_a_message_says_what_to_watch():
    """A first message names calls, types, a cursor and a token."""
    asked = {
        "type": "watch",
        "calls": ["default:a"],
        "types": ["call.*"],
        "since": "c",
        "snapshot": True,
        "token": "t",
        "api_key": "k",
    }
    message = read_message(orjson.dumps(asked))
    assert message.calls == ("default:a",)
    assert (message.types, message.since, message.snapshot) == (("call.*",), "c", True)


def test_a_call_that_is_named_often_counts_once():
    """Or one message could ask for thousands of snapshots of it."""
    asked = {"type": "watch", "calls": ["d:a", "d:b", "d:a", "d:a"], "snapshot": True}
    assert read_message(orjson.dumps(asked)).calls == ("d:a", "d:b")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "null",
        '{"type":"watch"}',
        '{"type":"watch","calls":[]}',
        '{"type":"watch","calls":"default:a"}',
        '{"type":"watch","calls":["a"]}',
        '{"type":"watch","calls":[""]}',
        '{"type":"watch","calls":[7]}',
        '{"type":"watch","calls":["default:a"],"typo":1}',
        '{"type":"fly"}',
        '{"type":"watch","calls":["default:a"],"types":[]}',
        '{"type":"watch","calls":["default:a"],"types":[""]}',
        '{"type":"watch","calls":["d:%s"]}' % ("a" * 255),
        "[" * 100_000,
        "\ud800",
    ],
)
def test_what_is_no_message_is_refused_with_a_sentence(text):
    """Nothing that a client sends is ignored or raises anything else."""
    with pytest.raises(BadRequest, match=r"\w"):
        read_message(text)


def test_an_address_says_the_same():
    """A query string is a first watch; the browser's own last id is newer than `since`."""
    query = MultiDict(
        [
            ("call", "default:a"),
            ("call", "default:b"),
            ("type", "custom"),
            ("since", "old"),
            ("snapshot", "1"),
            ("api_key", "k"),
        ]
    )
    message = read_query(query, last_event_id="new")
    assert message.calls == ("default:a", "default:b")
    assert (message.types, message.since, message.snapshot) == (("custom",), "new", True)
    assert read_query(query).since == "old"


@pytest.mark.parametrize(
    "pairs",
    [
        [("token", "x")],
        [("Authorization", "x")],
        [("calls", "default:a")],
        [("call", "a")],
        [("since", "a"), ("since", "b")],
        [("snapshot", "yes")],
        [("call", "d:\udcff")],
    ],
)
def test_an_address_that_we_do_not_understand_is_refused(pairs):
    """A token in an address, an unknown name, one that is there twice."""
    with pytest.raises(BadRequest):
        read_query(MultiDict(pairs))


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"Authorization": "a.b.c"}, "a.b.c"),
        ({"Authorization": "Bearer a.b.c"}, "a.b.c"),
        ({"Authorization": "bearer  a.b.c "}, "a.b.c"),
        ({"Authorization": "  "}, None),
        ({"Sec-WebSocket-Protocol": "gateway.feed.v1, token.a.b.c"}, "a.b.c"),
        ({"Sec-WebSocket-Protocol": "gateway.feed.v1"}, None),
    ],
)
def test_a_token_comes_in_a_header_or_a_subprotocol(headers, token):
    """Raw, behind Bearer, or offered as a subprotocol."""
    assert read_headers(headers, "k") == FeedCredentials("k", token)


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "expected"),
    [
        (None, "gw:8080", (), True),
        ("http://gw:8080", "gw:8080", (), True),
        ("https://gw", "gw", (), True),
        ("https://gw", "gw:443", (), True),
        ("https://GW:443", "gw", (), True),
        ("http://gw:8081", "gw:8080", (), False),
        ("https://gw.evil.example", "gw", (), False),
        ("https://evilgw", "gw", (), False),
        ("https://app.example", "gw", ("https://app.example",), True),
        ("https://app.example:443", "gw", ("https://app.example",), True),
        ("http://app.example", "gw", ("https://app.example",), False),
        ("https://app.example.evil", "gw", ("https://app.example",), False),
        ("https://evil.example", "gw", ("*",), True),
        ("null", "gw", ("https://app.example",), False),
        ("null", "null", (), False),
        ("null", "gw", ("*",), True),
        ("", "", (), False),
        ("https://", "", (), False),
        ("https://gw:x", "gw:x", (), False),
        ("https://a.example.com", "gw", ("https://*.example.com",), True),
        ("https://A.b.Example.com:443", "gw", ("https://*.example.com",), True),
        ("https://a.example.com:8443", "gw", ("https://*.example.com:8443",), True),
        ("https://a.example.com:8443", "gw", ("https://*.example.com",), False),
        ("https://example.com", "gw", ("https://*.example.com",), False),
        ("https://.example.com", "gw", ("https://*.example.com",), False),
        ("https://evilexample.com", "gw", ("https://*.example.com",), False),
        ("https://evil.com@a.example.com", "gw", ("https://*.example.com",), False),
        ("https://a.example.com.evil", "gw", ("https://*.example.com",), False),
        ("http://a.example.com", "gw", ("https://*.example.com",), False),
        ("https://*.example.com", "gw", ("https://*.example.com",), False),
        ("capacitor://localhost", "gw", ("capacitor://localhost",), True),
        ("ionic://localhost", "gw", ("capacitor://localhost",), False),
        ("http://localhost", "gw", ("capacitor://localhost",), False),
        ("tauri://localhost", "localhost", (), False),
        ("chrome-extension://abcdef", "gw", ("chrome-extension://abcdef",), True),
        ("chrome-extension://other", "gw", ("chrome-extension://abcdef",), False),
        ("moz-extension://1f-2e", "gw", ("moz-extension://*",), True),
        ("https://evil.example", "gw", ("moz-extension://*", "https://*"), False),
    ],
)
def test_only_allowed_pages_come_in(origin, host, allowed, expected):
    """The server's own pages, those listed, and programs, which send no Origin."""
    assert is_allowed(origin, host, allowed) is expected


def test_types_are_globs():
    """A filter takes what one of its globs matches."""
    wanted = TypeFilter(["custom", "call.session_*"])
    assert wanted("custom")
    assert wanted("call.session_ended")
    assert not wanted("call.ended")
    assert not wanted("customs")


def test_a_filter_has_bounds():
    """Neither none, nor too many, nor overlong globs; remembered verdicts do not pile up."""
    for globs in ([], ["a"] * 65, ["a" * 129], [""]):
        with pytest.raises(TypeFilterError):
            TypeFilter(globs)
    wanted = TypeFilter(["a*"])
    assert [wanted(f"b{n}") for n in range(1000)] == [False] * 1000
    assert len(wanted._known) <= 256
