"""Cursors: opaque texts that a client gives back."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.feed.plain.cursors import CursorPlace, decode, encode, mark_of
from gateway.store import keys

_NUMBERS = st.integers(0, 2**63 - 1)
_PLACES = st.builds(
    CursorPlace, st.binary(min_size=6, max_size=6), _NUMBERS, st.tuples(_NUMBERS, _NUMBERS)
)
_CURSORS = st.dictionaries(st.integers(0, keys.SHARDS - 1), _PLACES)


@given(_CURSORS)
def test_a_cursor_comes_back_as_it_was(cursor):
    """Whatever was encoded is decoded, and its text may stand in any URL and header."""
    text = encode(cursor)
    assert decode(text) == cursor
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text)


@given(st.text(max_size=400))
def test_any_text_is_a_cursor_or_none(text):
    """No text raises, and one that decodes is the text that we would have written."""
    cursor = decode(text)
    assert cursor is None or encode(cursor) == text


@pytest.mark.parametrize("text", ["", "x", "Ag", "1", "A" * 10_000, "AQ==", "ÄÖ", "A Q"])
def test_what_we_did_not_write_is_no_cursor(text):
    """Texts of another version, padded, overlong or foreign reach back to nothing."""
    assert decode(text) is None


def test_a_shard_that_is_there_twice_is_no_cursor():
    """A cursor has one place per shard, and none for a shard that there is not."""
    packed = urlsafe_b64decode(encode({1: CursorPlace(mark_of("e"), 5, (1, 2))}) + "==")
    for spoilt in (packed + packed[1:], packed[:1] + b"\xff" + packed[2:], packed[:-1]):
        assert decode(urlsafe_b64encode(spoilt).rstrip(b"=").decode()) is None


@pytest.mark.parametrize("place", [(2**63, (1, 2)), (5, (2**63, 2)), (5, (1, 2**64 - 1))])
def test_what_no_stream_reaches_is_no_cursor(place):
    """It is not asked of Redis, which would refuse it."""
    assert decode(encode({1: CursorPlace(mark_of("e"), *place)})) is None


def test_epochs_have_marks_of_their_own():
    """Two epochs are told apart, and the same one is always the same."""
    assert mark_of("a") != mark_of("b")
    assert mark_of("a") == mark_of("a")
    assert len(mark_of("")) == 6
