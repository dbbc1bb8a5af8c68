"""Frames of clients, however the network cuts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socket_client import masked

from gateway.feed.websocket.frame_reader import BadFrame, FrameReader

_MAX_BYTES = 1000
_TEXT = st.text(max_size=300).map(lambda text: masked(1, text.encode()))
_CONTROL = st.builds(masked, st.sampled_from([8, 9, 10]), st.binary(max_size=125))
_PIECES = st.lists(st.text(max_size=40), min_size=2, max_size=5).map(
    lambda texts: b"".join(
        masked(0 if at else 1, text.encode(), fin=at == len(texts) - 1)
        for at, text in enumerate(texts)
    )
)
_BAD = st.sampled_from([masked(2), masked(0), masked(1, b"\xff"), masked(1, b"x", mask=False)])
_WIRE = st.lists(_TEXT | _CONTROL | _PIECES, max_size=8).map(b"".join)


def _read(pieces):
    """The messages, and the code of what ended them if anything did."""
    reader, found = FrameReader(_MAX_BYTES), []
    try:
        for piece in pieces:
            for message in reader.feed(piece):
                found.append(message)  # noqa: PERF402 - a list would lose them
    except BadFrame as error:
        return found, error.code
    return found, None


@given(_WIRE, st.none() | _BAD, st.lists(st.integers(0, 3000), max_size=12))
def test_cuts_change_nothing(wire, bad, cuts):
    """The same messages and the same end come of any pieces, single bytes included."""
    wire += bad or b""
    at = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    pieces = [wire[a:b] for a, b in zip(at, at[1:], strict=False)]
    whole = _read([wire])
    assert _read(pieces) == whole
    assert _read([wire[n : n + 1] for n in range(len(wire))]) == whole
    assert (whole[1] is None) == (bad is None)


@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_refused(wire):
    """Nothing but `BadFrame` is raised, and no more is kept than may come."""
    _read([wire])


@pytest.mark.parametrize("size", [_MAX_BYTES, _MAX_BYTES + 1])
def test_a_message_has_its_bound_before_it_has_come(size):
    """One that will be too long is refused by its head."""
    reader = FrameReader(_MAX_BYTES)
    head = masked(1, b"", size=size)
    if size > _MAX_BYTES:
        with pytest.raises(BadFrame):
            list(reader.feed(head))
    else:
        assert list(reader.feed(head)) == []
