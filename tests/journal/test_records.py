"""The codec alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.journal import records


@given(st.integers(1, 2**60), st.binary(max_size=300), st.binary(max_size=3000))
def test_round_trip(number, meta, body):
    """What was encoded is decoded, wherever in a buffer it stands."""
    encoded = records.encode(number, meta, body)
    assert records.extent(encoded) == len(encoded)
    record = records.decode(b"xyz" + encoded + b"abc", 3)
    assert record == (3, 3 + len(encoded), number, meta, body)


def test_damage_at_every_byte():
    """No single damaged byte of a record goes unnoticed."""
    encoded = records.encode(7, b"[1]", b'{"type":"custom"}')
    for place in range(len(encoded)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(encoded)
            damaged[place] ^= flip
            assert records.decode(bytes(damaged), 0) is None


@pytest.mark.parametrize("length", range(40))
def test_torn(length):
    """A record that was not written to its end is no record."""
    encoded = records.encode(7, b"[1]", b'{"type":"custom"}')
    assert records.decode(encoded[: len(encoded) - 1 - length], 0) is None
