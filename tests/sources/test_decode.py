"""The texts that Stream puts into messages, and what else may lie in a queue."""

import gzip
import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.webhooks import sample_bodies, signed_request

from gateway.ingest.acceptance import Acceptance
from gateway.ingest.signature import Verifier
from gateway.options import App, IngestOptions
from gateway.sources.decode import Content, decode, event_of

APP = App(api_key="demo-key", secrets=("demo-secret",))
BODY = b'{"type":"call.created","call_cid":"default:x","text":"\\u0026 \xc3\xa4"}'
MAX = 100_000


def raw(body):
    return body.decode()


def base64(body):
    return b64encode(body).decode()


def zipped(body):
    return b64encode(gzip.compress(body, mtime=0)).decode()


def in_lines(body):
    text = b64encode(body).decode()
    return "\n".join(text[at : at + 20] for at in range(0, len(text), 20)) + "\n"


def enveloped(text):
    return json.dumps({"Type": "Notification", "TopicArn": "arn:aws:sns:r:1:t", "Message": text})


FORMATS = (raw, base64, zipped, in_lines)


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("wrapped", [str, enveloped])
def test_every_form_brings_the_same_body(written, wrapped):
    """Raw, in base64, gzipped, in an envelope of SNS: the bytes that Stream made come out."""
    for body in (BODY, *sample_bodies().values()):
        assert decode(wrapped(written(body)), MAX) == Content(body)


@given(st.binary(), st.sampled_from(FORMATS[1:]))
def test_any_bytes_in_braces_survive(middle, written):
    """Whatever a body holds, it comes out as it went in."""
    assert decode(written(b"{" + middle), MAX) == Content(b"{" + middle)


@given(st.text())
def test_any_text_is_an_event_or_kept_as_it_is(text):
    """No text fails; what is no event is kept, within the bound."""
    event = event_of(text, APP, Verifier((APP,)), max_bytes=50, source="sqs:s", now_ms=1)
    assert len(event.body) <= 50
    assert event.unfit or json.loads(event.body)["type"] == event.type


@pytest.mark.parametrize(
    ("text", "kept", "why"),
    [
        ("hello", b"hello", "not_an_event"),
        ("aGVsbG8h", b"aGVsbG8h", "not_an_event"),  # base64, of no JSON
        ("", b"", "not_an_event"),
        ("[]", b"[]", "not_an_event"),
        ('{"type":1}', b'{"type":1}', "not_an_event"),
        (base64(b'{"no":"type"}'), b'{"no":"type"}', "not_an_event"),
        (base64(b"\x1f\x8bbroken"), base64(b"\x1f\x8bbroken").encode(), "not_an_event"),
        (raw(b'{"type":"%s"}' % (b"x" * MAX)), None, "too_large"),
        (base64(b'{"type":"%s"}' % (b"x" * MAX)), None, "too_large"),
        (zipped(b'{"type":"%s"}' % (b"x" * MAX)), None, "too_large"),
    ],
)
def test_what_is_no_event_is_kept_and_says_why(text, kept, why):
    """A message that is no event is buried with what it held, cut to the bound of a body."""
    event = event_of(text, APP, Verifier((APP,)), max_bytes=MAX, source="sqs:s", now_ms=1)
    assert event.unfit == why
    assert event.body == (text.encode()[:MAX] if kept is None else kept)


def test_an_event_of_type_notification_is_no_envelope():
    """Only SNS' own envelope is opened: an event that looks a little like one stays whole."""
    for body in (
        b'{"type":"Notification","TopicArn":"a","Message":"m"}',
        b'{"Type":"Other","type":"a","TopicArn":"a","Message":"m"}',
    ):
        assert decode(body.decode(), MAX).body == body


@pytest.mark.parametrize("written", FORMATS)
def test_the_same_body_by_webhook_is_the_same_event(written):
    """The identity of an event does not depend on the way on which it came."""
    signed = signed_request(BODY)
    webhook = Acceptance((APP,), IngestOptions()).judge(
        body=BODY,
        api_key=b"demo-key",
        signature=signed["X-SIGNATURE"].encode(),
        webhook_id=None,
        content_encoding=None,
        now_ms=1,
    )
    verifier = Verifier((APP,))
    message = event_of(written(BODY), APP, verifier, max_bytes=MAX, source="sqs:s", now_ms=1)
    assert (message.key, message.call_cid, message.body) == (webhook.key, "default:x", BODY)
