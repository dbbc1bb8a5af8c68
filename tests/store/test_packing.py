"""What publishing commands begin with, as time goes on and shards heal."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.store import keys
from gateway.store.publishing.digests import DigestSlices
from gateway.store.publishing.packing import Packing
from gateway.store.publishing.shard_state import ShardState

WINDOW_MS = 100
moments = st.integers(0, 1000)


def states():
    return [ShardState(0, 0, 0, 0, 0, DigestSlices(WINDOW_MS)) for _ in range(keys.SHARDS)]


def fresh(shards):
    """The same shards as somebody sees them who has never packed for them."""
    return [
        replace(
            one,
            slices=DigestSlices(WINDOW_MS, dict(one.slices.latest)),
            _named=((), b""),
            _closing=(-1, False, b""),
        )
        for one in shards
    ]


@given(st.lists(st.tuples(moments, st.integers(0, 49), st.integers(0, keys.SHARDS - 1))))
def test_what_is_kept_of_the_last_time_is_what_would_be_found_anew(batches):
    """Whatever came before, heads are those that a packing without a past finds."""
    packing, shards = Packing("id", "token"), states()
    for first_ms, more_ms, shard in batches:
        shards[shard].position += 1
        if not shards[shard].must_heal:
            shards = list(shards)  # that one has lost its tail is found when all are asked anew
        shards[shard].must_heal = not shards[shard].must_heal
        last_ms = min(first_ms + more_ms, first_ms // 50 * 50 + 49)  # of the same slice
        expected = Packing("id", "token").heads(fresh(shards), first_ms, last_ms)
        assert packing.heads(shards, first_ms, last_ms) == expected


def test_other_shards_are_looked_at_anew():
    """After a new connection nothing of before counts."""
    packing, one, other = Packing("id", "token"), states(), states()
    other[0].position = 7
    first = packing.heads(one, 10, 20)
    second = packing.heads(other, 10, 20)
    assert [head[0] for head in second] == [7, *[0] * (keys.SHARDS - 1)]
    assert [head[:3] for head in first][1:] == [head[:3] for head in second][1:]
    assert [head[3] for head in first] != [head[3] for head in second]  # epochs of their own
