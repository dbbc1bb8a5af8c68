import gzip
import random
import tracemalloc
import zlib

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingest.inflate import RATIO_FREE_BYTES, Failure, inflate

MAX = 1 << 20
NOISE = random.Random(1).randbytes(MAX + 1)  # does not compress


@given(content=st.binary(max_size=5_000))
def test_what_was_packed_comes_out(content):
    """One whole gzip member gives its content."""
    assert inflate(gzip.compress(content), MAX) == content


def test_bytes_are_bounded():
    """Content of exactly the bound is taken, one byte more is not."""
    assert inflate(gzip.compress(NOISE[:MAX]), MAX) == NOISE[:MAX]
    assert inflate(gzip.compress(NOISE), MAX) is Failure.TOO_LARGE


def test_the_ratio_is_bounded():
    """Small content may repeat itself at will, large content not a thousandfold."""
    assert inflate(gzip.compress(bytes(RATIO_FREE_BYTES)), MAX) == bytes(RATIO_FREE_BYTES)
    assert inflate(gzip.compress(bytes(MAX)), MAX) is Failure.TOO_LARGE


def test_a_bomb_costs_no_memory():
    """A thousandfold bomb is given up after the bound, not after inflating it."""
    bomb = gzip.compress(bytes(200 << 20))
    tracemalloc.start()
    try:
        assert inflate(bomb, MAX) is Failure.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX
    finally:
        tracemalloc.stop()


@given(content=st.binary(min_size=1, max_size=200), data=st.data())
def test_anything_but_one_whole_member_is_broken(content, data):
    """Cut anywhere, followed by anything, damaged in its checksum, or no gzip."""
    packed = gzip.compress(content)
    cut = data.draw(st.integers(0, len(packed) - 1))
    damaged = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    for broken in (packed[:cut], packed + b"\0", packed + packed, damaged, zlib.compress(content)):
        assert inflate(broken, MAX) is Failure.BROKEN
