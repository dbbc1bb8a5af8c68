"""Fresh bodies and their signatures."""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from support.webhooks import distinct_event, sample_bodies, signed_request

from gateway.sending.bodies import matching, samples
from gateway.sending.webhook import prepare, rfc3339, sign

NOW_NS = 1_795_168_875_063_469_421
RFC = b'"2026-11-20T10:01:15.063469421Z"'


def test_every_shipped_sample_is_an_event_with_its_type():
    """The wheel carries 21 bodies, each a JSON object with a type and a time."""
    assert len(samples()) == 21
    for sample in samples():
        event = orjson.loads(sample.body)
        assert event["type"] == sample.type
        assert event["created_at"]


def test_samples_are_chosen_by_type_or_name():
    """A glob may mean a type, or one sample of several of a type."""
    assert [s.name for s in matching(("custom.sm*",))] == ["custom.small"]
    assert {s.type for s in matching(("call.recording_*",))} == {
        "call.recording_ready",
        "call.recording_started",
    }
    assert len(matching(("call.session_participant_joined",))) == 2
    assert matching(("nothing.*",)) == ()


@pytest.mark.parametrize("name", sorted(sample_bodies()))
def test_a_fresh_sample_differs_in_its_time_only(name):
    """Only the top level's created_at changes, in its own encoding; no other byte does."""
    body = sample_bodies()[name]
    fresh = prepare(body, NOW_NS)
    old = re.search(rb'"created_at":("[^"]*"|\d+)', body)
    new = RFC if old[1].startswith(b'"') else b"%d" % NOW_NS
    assert fresh == body[: old.start(1)] + new + body[old.end(1) :]


@pytest.mark.parametrize(
    ("body", "fresh"),
    [
        (b'{"call":{"created_at":1},"created_at":2}', b'{"call":{"created_at":1},"created_at":%d}'),
        (
            b'{"x":[{"created_at":1}], "created_at" : 2 }',
            b'{"x":[{"created_at":1}], "created_at" : %d }',
        ),
        (
            b'{"a":"}\\"","b":"created_at","created_at":2}',
            b'{"a":"}\\"","b":"created_at","created_at":%d}',
        ),
        (b'{"created_at":null}', b'{"created_at":null}'),
        (b'{"created_at":{"a":1}}', b'{"created_at":{"a":1}}'),
        (b'{"created_at":"yesterday"}', b'{"created_at":"yesterday"}'),
        (b'{"created_at":1.5}', b'{"created_at":1.5}'),
        (b'{"type":"x"}', b'{"type":"x"}'),
        (b'["created_at",1]', b'["created_at",1]'),
        (b'{"created_at":', b'{"created_at":'),
        (b"\x00\xff no json", b"\x00\xff no json"),
        (b"", b""),
    ],
)
def test_bodies_of_ones_own(body, fresh):
    """The right created_at is found wherever it is; a body without one stays as it is."""
    assert prepare(body, NOW_NS) == (fresh % NOW_NS if b"%d" in fresh else fresh)


def test_times_have_nine_digits():
    """Nanoseconds survive, leading zeros too."""
    assert rfc3339(1_000_000_007) == "1970-01-01T00:00:01.000000007Z"
    assert datetime.fromisoformat(rfc3339(NOW_NS)[:19]).replace(tzinfo=UTC).timestamp() == (
        NOW_NS // 10**9
    )


def test_the_signature_is_hmac_sha256_in_lower_case_hex():
    """The signature covers the body under the secret's UTF-8 bytes."""
    body = sample_bodies()["call.ended"]
    expected = hmac.new("gehéim".encode(), body, hashlib.sha256).hexdigest()
    assert sign(body, "gehéim") == expected


def test_a_known_signature():
    """A signature that other code made of this sample is the one that we make."""
    body = sample_bodies()["call.session_participant_count_updated"]
    known = "05b6be24640b1b235b2d507fcadd161a01d2baba440991b274b3ef6586432889"
    assert sign(body, "fixture-secret-not-for-production") == known


def test_the_headers_are_streams():
    """One webhook has an id of its own, attempt 1, the key, and the signature."""
    one, two = (signed_request(b"{}", "s", "k") for _ in range(2))
    assert UUID(one["X-WEBHOOK-ID"]).version == 4
    assert one["X-WEBHOOK-ID"] != two["X-WEBHOOK-ID"]
    assert (one["X-WEBHOOK-ATTEMPT"], one["X-API-KEY"]) == ("1", "k")
    assert one["X-SIGNATURE"] == sign(b"{}", "s")


def test_distinct_events_for_other_tests():
    """They are valid, unlike each other, of the size asked for."""
    events = {distinct_event(n, "default:a", 1024) for n in range(100)}
    assert len(events) == 100
    for event in events:
        assert len(event) == 1024
        assert orjson.loads(event)["call_cid"] == "default:a"
    assert orjson.loads(distinct_event(7))["custom"]["n"] == 7
