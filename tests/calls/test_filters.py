"""Filters of QueryCalls: what fits, what they say beforehand, and what is no filter."""

import pytest

from gateway.calls.errors import StreamError
from gateway.calls.filters import read_filter

CALL = {
    "cid": "default:room",
    "type": "default",
    "id": "room",
    "backstage": False,
    "team": "",
    "created_at": "2026-11-20T10:00:00.000000001Z",
    "starts_at": None,
    "created_by": {"id": "anna"},
    "custom": {"topic": "Ω", "level": 3, "tags": ["a", "b"]},
    "current_session_id": "s1",
    "members": ["ben"],
    "blocked_user_ids": [],
}


def fits(conditions):
    return read_filter(conditions).fits(CALL)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, True),
        ({"type": "default"}, True),
        ({"type": "default", "id": "other"}, False),
        ({"cid": {"$in": ["default:room", "x"]}}, True),
        ({"cid": {"$in": []}}, False),
        ({"custom.topic": "Ω"}, True),
        ({"custom.level": {"$gt": 2, "$lte": 3}}, True),
        ({"custom.level": {"$gt": 3}}, False),
        ({"custom.level": {"$gte": 3.0}}, True),
        ({"custom.level": {"$gt": "2"}}, False),
        ({"custom.level": True}, False),
        ({"custom.tags": "a"}, True),
        ({"custom.tags": {"$in": ["z", "b"]}}, True),
        ({"custom.tags": ["a", "b"]}, True),
        ({"custom.tags": [1, {"x": 2}]}, False),
        ({"custom": {"level": 3, "tags": ["a", "b"], "topic": "Ω"}}, True),
        ({"custom": {"level": 3}}, False),
        ({"backstage": False}, True),
        ({"backstage": 0}, False),
        ({"ongoing": True}, True),
        ({"created_by_user_id": "anna"}, True),
        ({"members": {"$in": ["ben", "kim"]}}, True),
        ({"members": "kim"}, False),
        ({"starts_at": {"$exists": False}}, True),
        ({"starts_at": None}, True),
        ({"custom.nothing.below": {"$exists": True}}, False),
        ({"created_at": {"$lt": "2026-11-20T12:00:00+02:00"}}, False),
        ({"created_at": {"$lt": "2026-11-20T12:00:01+02:00"}}, True),
        ({"created_at": 1763632800000000001 + 365 * 86400 * 10**9}, True),
        ({"$or": [{"id": "x"}, {"custom.level": 3}]}, True),
        ({"$and": [{"id": "room"}, {"custom.level": 4}]}, False),
        ({"$nor": [{"id": "x"}, {"id": "y"}]}, True),
        ({"$nor": [{"id": "room"}]}, False),
        ({"$or": []}, False),
    ],
)
def test_what_fits(conditions, expected):
    """Each operator by itself and together; kinds are never mixed up; times compare as times."""
    assert fits(conditions) is expected


@pytest.mark.parametrize(
    "conditions",
    [
        [],
        "x",
        {"$xor": []},
        {"id": {"$regex": "."}},
        {"$and": {}},
        {"$or": [1]},
        {"id": {"$in": "room"}},
        {"id": {"$in": ["x"] * 1001}},
        {"id": {"$exists": 1}},
        {"settings.audio": 1},
        {"members": {"$gt": "a"}},
        {str(n): 1 for n in range(101)},
        {"$and": [{}] * 101},
        {"id": {"$in": ["x"] * 600}, "cid": {"$in": ["y"] * 600}},
        {"members": [f"u{n}" for n in range(21)]},
        {"custom." + "." * 1000: 1},
        {"custom.n": [10**30]},
    ],
)
def test_what_is_no_filter(conditions):
    """Code 4, whatever was sent."""
    with pytest.raises(StreamError) as refused:
        read_filter(conditions)
    assert refused.value.code == 4


def test_a_filter_has_a_bounded_depth():
    """Nesting without end is refused before it is followed."""
    deep = {"id": "x"}
    for _ in range(10):
        deep = {"$and": [deep]}
    with pytest.raises(StreamError):
        read_filter(deep)


def test_what_narrows():
    """Calls and members that all fitting calls must have are told; alternatives narrow nothing."""
    found = read_filter({"$and": [{"cid": {"$in": ["a:1", "a:2"]}}, {"cid": "a:2"}]})
    assert found.only_cids == {"a:2"}
    found = read_filter({"$or": [{"cid": "a:1"}, {"members": "ben"}]})
    assert (found.only_cids, found.only_members, found.members) == (None, None, {"ben"})
    found = read_filter({"$nor": [{"cid": "a:1"}]})
    assert found.only_cids is None
    found = read_filter({"$and": [{"members": "ben"}, {"members": "kim"}]})
    assert found.only_members == {"ben"}
    assert found.members == {"ben", "kim"}
