import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.webhooks import API_KEY, SECRET, sample_bodies, signed_request

from gateway.event import read_meta
from gateway.ingest.acceptance import MAX_DEPTH, Acceptance, routing, too_deep
from gateway.options import App, IngestOptions

ACCEPTANCE = Acceptance((App(api_key=API_KEY, secrets=(SECRET,)),), IngestOptions())


def judge(body, webhook_id=None):
    return ACCEPTANCE.judge(
        body=body,
        api_key=None,
        signature=signed_request(body)["X-SIGNATURE"].encode(),
        webhook_id=webhook_id,
        content_encoding=None,
        now_ms=7,
    )


def test_every_sample_is_an_event():
    """What Stream sends is routed by its own type and call, and kept byte for byte."""
    for body in sample_bodies().values():
        sample = json.loads(body)
        event = judge(body)
        assert event.body == body
        assert (event.type, event.call_cid) == (sample["type"], sample.get("call_cid"))
        assert not event.unfit
        assert event.accepted_ms == 7


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"type":"a"}', ("a", None)),
        (b'{"call_cid":"d:1","type":"never.seen"}', ("never.seen", "d:1")),
        (b'{"type":"a","call_cid":""}', ("a", None)),
        (b'{"type":"a","call_cid":null}', ("a", None)),
        (b'{"type":"a","call_cid":7}', ("a", None)),
        (b'{"type":"a","call_cid":{"b":[]}}', ("a", None)),
        (b'{"type":"a","call_cid":"%b"}' % (b"x" * 256), ("a", "x" * 256)),
        (b'{"type":"a","call_cid":"%b"}' % (b"x" * 257), ("a", None)),
        ('{"type":"a","call_cid":"%s"}' % ("é" * 129), ("a", None)),
        ('{"type":"é"}', ("é", None)),
        (b'{"type":"a","call_cid":"\\ud800"}', ("a", None)),
        (b'{"type":"a","x":"\\ud800"}', ("a", None)),
        (b'{"type":1,"type":"a"}', ("a", None)),
        (b'{"type":"a","n":%b}' % (b"9" * 5000), ("a", None)),
        (b'{"type":"a","n":1e999}', ("a", None)),
        (b' \n{"type":"a"}\n', ("a", None)),
        (b'{"type":"\\ud800"}', None),
        (b'{"type":"a","type":1}', None),
        (b'{"type":null}', None),
        (b'{"n":1}', None),
        (b'[{"type":"a"}]', None),
        (b'"type"', None),
        (b"null", None),
        (b"", None),
        (b'{"type":"a"', None),
        (b'{"type":"a"} x', None),
        (b'{"type":"a","x":"\xff"}', None),
        (b'\xef\xbb\xbf{"type":"a"}', None),
        (b'{"type":1,"type":"a","x":NaN}', None),
    ],
)
def test_routing(body, expected):
    """The type must be a string; a call_cid that cannot be used is none."""
    assert routing(body.encode() if isinstance(body, str) else body) == expected


def test_depth():
    """Nesting is bounded; brackets within strings are text."""
    within = MAX_DEPTH - 1
    assert not too_deep(b'{"type":"a","x":%b%b}' % (b"[" * within, b"]" * within))
    assert too_deep(b'{"type":"a","x":%b%b}' % (b"[" * MAX_DEPTH, b"]" * MAX_DEPTH))
    assert not too_deep(b'{"type":"a","x":"%b","y":"\\"[[[["}' % (b"[{" * 500))
    assert not too_deep(b"[" + b"{}," * 5_000 + b"{}]")
    assert routing(b'{"type":"a","x":%b' % (b"[" * 100_000)) is None


def test_depth_takes_linear_time():
    """A megabyte of the worst text there is takes no time to speak of."""
    began = time.process_time()  # not what others take of the machine meanwhile
    for worst in (b'\\"' * 500_000, b'"' + b'\\"[' * 300_000, b'"' * 900_000 + b"[" * 200):
        too_deep(b"[" * 100 + worst + b"{" * 100)
    assert time.process_time() - began < 2


@given(st.binary(max_size=300))
def test_whatever_is_signed_becomes_an_event(body):
    """No signed body makes the judgement raise or refuse, unless it claims to be gzip."""
    if body.startswith(b"\x1f\x8b"):
        return
    event = judge(body)
    assert read_meta(event.meta).app == API_KEY
    assert event.body == body


SCALARS = st.none() | st.text() | st.floats(allow_nan=False, allow_infinity=False) | st.integers()


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_valid_json_with_a_type_is_an_event(value):
    """Anything beside the type and the call passes through."""
    for ascii_only in (True, False):
        event = {"x": value, "type": "t", "call_cid": "c:1"}
        body = json.dumps(event, ensure_ascii=ascii_only).encode()
        assert routing(body) == ("t", "c:1")


@pytest.mark.parametrize(
    ("received", "kept"),
    [
        (None, ""),
        (b"", ""),
        (b"0b5f-1", "0b5f-1"),
        (b"x" * 500, "x" * 128),
        (b"a\xe9", ""),
        (b"a\tb", ""),
    ],
)
def test_the_webhook_id(received, kept):
    """It is not signed: only short printable text goes into logs and headers."""
    assert read_meta(judge(b"{}", received).meta).webhook_id == kept
