"""The order of calls, and `next`."""

import itertools

import pytest

from gateway.calls.errors import StreamError
from gateway.calls.sorting import (
    NEWEST_FIRST,
    comes_before,
    place_of,
    read_next,
    read_sorts,
    write_next,
)


def ordered(calls, sorts):
    return [
        place[-1] for place in sorted((place_of(c, sorts) for c in calls), key=comes_before(sorts))
    ]


def test_newest_first_without_a_wish():
    """By time, whatever it was written in; by cid where times are the same."""
    calls = [
        {"cid": "a", "created_at": "2026-01-01T00:00:00Z"},
        {"cid": "c", "created_at": "2026-01-01T02:00:00+01:00"},
        {"cid": "b", "created_at": "2026-01-01T01:00:00.0Z"},
    ]
    assert read_sorts(None) == read_sorts([]) == NEWEST_FIRST
    assert ordered(calls, NEWEST_FIRST) == ["b", "c", "a"]


def test_several_fields_and_what_a_call_does_not_have():
    """Each in its own direction; what is missing is last in both."""
    sorts = read_sorts([{"field": "custom.n", "direction": -1}, {"field": "team"}])
    calls = [
        {"cid": "1", "custom": {"n": 1}, "team": "b"},
        {"cid": "2", "custom": {"n": 1}, "team": "a"},
        {"cid": "3", "team": "a"},
        {"cid": "4", "custom": {"n": 2}},
        {"cid": "5", "custom": {"n": "x"}},
    ]
    assert ordered(calls, sorts) == ["4", "2", "1", "5", "3"]


@pytest.mark.parametrize("direction", [1, -1])
def test_pages_hold_every_call_once(direction):
    """Behind the place of any call come exactly those that follow it."""
    sorts = read_sorts([{"field": "custom.n", "direction": direction}])
    calls = [{"cid": f"c{n}", "custom": {"n": n % 3} if n % 4 else {}} for n in range(12)]
    places = sorted((place_of(call, sorts) for call in calls), key=comes_before(sorts))
    for at, place in enumerate(places):
        again = read_next(write_next(place), sorts)
        bound = comes_before(sorts)(again)
        assert [p for p in places if comes_before(sorts)(p) > bound] == places[at + 1 :]
    for one, other in itertools.pairwise(places):
        assert comes_before(sorts)(one) < comes_before(sorts)(other)


@pytest.mark.parametrize("text", ["x", "bnVsbA", "WzFd", "W3t9LCJhIl0", "WzEsMl0", "é"])
def test_a_next_that_is_none(text):
    """Code 4, never a traceback."""
    with pytest.raises(StreamError) as refused:
        read_next(text, NEWEST_FIRST)
    assert refused.value.code == 4


@pytest.mark.parametrize(
    "asked",
    [
        {},
        [1],
        [{}],
        [{"field": ""}],
        [{"field": "settings.x"}],
        [{"field": "id", "direction": 2}],
        [{"field": "id", "direction": True}],
        [{"field": "id"}] * 6,
    ],
)
def test_what_is_no_sort(asked):
    """Code 4."""
    with pytest.raises(StreamError) as refused:
        read_sorts(asked)
    assert refused.value.code == 4
