"""The headers of a delivery, and Retry-After."""

import pytest
from attempts import BODY, DEMO, KEY, attempt
from hypothesis import given
from hypothesis import strategies as st

from gateway.keyed_hash import KeyedHash
from gateway.subscribers.headers import RESERVED, DeliveryHead, read_retry_after

NEW, OLD, FOREIGN = (
    KeyedHash(secret).sign(BODY) for secret in (b"new-secret", b"old-secret", b"another")
)
NOW_MS = 1_700_000_000_000


def headers_of(*configured, apps=(DEMO,), url="https://receiver.test/stream?x=1", **changes):
    head = DeliveryHead(url, apps=apps, configured=configured, user_agent="gateway/test")
    first, *lines = head.of(attempt(**changes)).decode().removesuffix("\r\n\r\n").split("\r\n")
    assert first == "POST /stream?x=1 HTTP/1.1"
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    assert headers.pop("Content-Length") == str(len(BODY))
    return headers


def test_the_headers_are_streams_own():
    """A handler written for Stream finds every header it knows, and no other X- header."""
    assert headers_of(signature=NEW, number=3) == {
        "Host": "receiver.test",
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": "gateway/test",
        "Accept-Encoding": "identity",
        "X-WEBHOOK-ID": "hook-1",
        "X-WEBHOOK-ATTEMPT": "3",
        "X-API-KEY": "demo-key",
        "X-SIGNATURE": NEW,
    }


def test_the_signature_is_streams():
    """HMAC-SHA256 with the secret's text over the body, in lower-case hex."""
    assert KeyedHash(b"key").sign(b"The quick brown fox jumps over the lazy dog") == (
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
    )


@pytest.mark.parametrize(
    ("received", "sent"),
    [(NEW, NEW), (OLD, OLD), (FOREIGN, NEW), ("", NEW), (NEW.upper(), NEW), ("\u00e4", NEW)],
    ids=["newest", "older", "rotated_away", "unsigned", "upper_case", "not_ascii"],
)
def test_the_received_signature_is_kept_while_its_secret_lives(received, sent):
    """Kept if one of the app's secrets made it, else made anew with the newest."""
    assert headers_of(signature=received)["X-SIGNATURE"] == sent


def test_an_app_that_was_removed_keeps_what_it_sent():
    """Without the app's secrets the received signature goes out; an empty one not at all."""
    assert headers_of(apps=(), signature=FOREIGN)["X-SIGNATURE"] == FOREIGN
    assert "X-SIGNATURE" not in headers_of(apps=())


@pytest.mark.parametrize("webhook_id", ["", "a\r\nb", "\u00e4", "x" * 257, "\udce4"])
def test_a_missing_or_impossible_id_gives_way_to_the_key(webhook_id):
    """There is always an X-WEBHOOK-ID, the same on every attempt."""
    assert headers_of(webhook_id=webhook_id)["X-WEBHOOK-ID"] == KEY


def test_what_went_out_of_order_says_so():
    """X-Gateway-Late stands on late events only."""
    assert headers_of(late=True)["X-Gateway-Late"] == "1"
    assert "X-Gateway-Late" not in headers_of()


def test_configured_headers_come_on_top():
    """They are added, and may replace Content-Type and User-Agent, whatever their case."""
    sent = headers_of(("Authorization", "Bearer x"), ("user-agent", "me"))
    assert sent["Authorization"] == "Bearer x"
    assert sent["user-agent"] == "me"
    assert "User-Agent" not in sent


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_configured_headers_cannot_pose_as_ours(name):
    """What identifies and frames an event is not for the configuration to set."""
    assert headers_of((name.title(), "forged")) == headers_of()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 9_999_999_999.0),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("\u0663", None),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:14:20 -0000", 60.0),
        ("Tue, 14 Nov 2000 00:00:00 GMT", 0.0),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
    ],
)
def test_retry_after(text, seconds):
    """Seconds, or an HTTP date counted from now; never negative; None for anything else."""
    assert read_retry_after(text, NOW_MS) == seconds


@given(st.text())
def test_retry_after_never_raises(text):
    """Whatever a receiver sends, it is a number or None."""
    seconds = read_retry_after(text, NOW_MS)
    assert seconds is None or seconds >= 0
