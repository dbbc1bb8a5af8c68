import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest import requests
from gateway.ingest.requests import parse_head

MINIMAL = (b"Host: x", b"Content-Length: 5")


def parse(*lines):
    return parse_head(b"\r\n".join(lines))


def test_what_is_read():
    """Names in any case, values without the blanks around them."""
    head = parse(
        b"HOST: x",
        b"content-length:\t5 ",
        b"X-SIGNATURE: ab",
        b"x-api-key:key",
        b"X-Webhook-Id:  id ",
        b"Content-Encoding: gzip",
        b"X-Other: \xe9\tb",
        b"Connection: Close",
    )
    read = (head.content_length, head.signature, head.api_key, head.webhook_id)
    assert read == (5, b"ab", b"key", b"id")
    assert (head.content_encoding, head.close) == (b"gzip", True)
    head = parse(*MINIMAL)
    assert (head.signature, head.api_key, head.webhook_id, head.close) == (None, None, None, False)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5",),
        (b"Host: x",),
        (b"Host:", b"Content-Length: 5"),
        (*MINIMAL, b"content-length: 5"),
        (*MINIMAL, b"host: y"),
        (*MINIMAL, b"X-Signature: a", b"x-signature: b"),
        (*MINIMAL, b"X-Api-Key: a", b"X-API-KEY: a"),
        (*MINIMAL, b"Transfer-Encoding: chunked"),
        (*MINIMAL, b"transfer-encoding:"),
        (*MINIMAL, b"Expect: 100-continue"),
        (*MINIMAL, b"Upgrade: websocket"),
        (*MINIMAL, b"Connection: close, x"),
        (*MINIMAL, b" folded"),
        (*MINIMAL, b"\tfolded: x"),
        (*MINIMAL, b"A : b"),
        (*MINIMAL, b": b"),
        (*MINIMAL, b"no colon"),
        (*MINIMAL, b"Accept"),
        (*MINIMAL, b""),
        (*MINIMAL, b"A\xe9: b"),
        *(
            (b"Host: x", b"Content-Length: " + text)
            for text in (b"+5", b"-5", b"0x5", b"5,5", b"5 5")
        ),
        (b"Host: x", b"Content-Length: " + b"9" * 19),
        (b"Host: x", "Content-Length: \u0665".encode()),
    ],
)
def test_anything_unusual_is_left_to_aiohttp(lines):
    """None says that this parser has no opinion."""
    assert parse(*lines) is None


@pytest.mark.parametrize("control", [byte for byte in (*range(32), 127) if byte != 9])
def test_control_characters(control):
    """None of them is taken, wherever it stands."""
    character = bytes([control])
    for line in (b"A: b%bc", b"A: %b", b"A%b: b", b"%bA: b"):
        assert parse(*MINIMAL, line % character) is None


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(block):
    """Whatever comes, the parser answers."""
    parse_head(block)
    parse_head(b"\r\n".join((*MINIMAL, block)))


def test_the_memory_of_names_is_bounded():
    """Names that the outside invents do not pile up, and are still understood."""
    for n in range(2_000):
        assert parse(*MINIMAL, b"X-Invented-%d: a" % n)
    assert len(requests._names) <= 1024
    assert parse(*MINIMAL, b"uPgRaDe: a") is None
