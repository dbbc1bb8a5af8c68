"""Stream's two kinds of times."""

import pytest

from gateway.calls import times


@pytest.mark.parametrize(
    ("value", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-05-19T10:32:05.653992466Z", 1747650725653992466),
        ("2025-05-19T12:32:05.6+02:00", 1747650725600000000),
        ("2025-05-19t10:32:05.65399246699z", 1747650725653992466),
        (1778198400000000000, 1778198400000000000),
        ("2025-02-30T00:00:00Z", None),
        ("2025-05-19", None),
        ("٢٠٢٥-05-19T10:32:05Z", None),
        (True, None),
        (-1, None),
        (10**30, None),
        ("2262-04-11T23:47:16.854775807Z", 2**63 - 1),
        ("2262-04-11T23:47:16.854775808Z", None),
        ("9999-12-31T23:59:59Z", None),
        (None, None),
        (1.5, None),
    ],
)
def test_a_time_in_nanoseconds(value, ns):
    """Either kind is read, and nothing else."""
    assert times.to_ns(value) == ns
    if ns is not None:
        assert times.to_ns(times.to_text(ns)) == ns


def test_every_time_is_changed_and_nothing_of_the_applications():
    """Fields that hold times, at any depth; what lies in `custom` stays as it is."""
    content = {
        "created_at": 10**18,
        "custom": {"created_at": 10**18},
        "ended_at": None,
        "call": {"session": {"accepted_by": {"ben": 10**18}, "participants": [{"joined_at": 1}]}},
    }
    texts = times.with_texts(content)
    assert texts["created_at"] == "2001-09-09T01:46:40.000000000Z"
    assert texts["custom"] == {"created_at": 10**18}
    assert texts["call"]["session"]["accepted_by"]["ben"] == texts["created_at"]
    assert times.with_ns(texts) == content
