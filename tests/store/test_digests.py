"""Which sets of digests are asked whether an event was seen before."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.store.publishing.digests import DigestSlices

SHARD = 3
times = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 300)), min_size=1, max_size=30)


@given(
    st.integers(1, 900), st.dictionaries(st.integers(1, 700), st.integers(0, 40), max_size=2), times
)
def test_the_answer_that_is_kept_asks_all_that_a_fresh_one_would(window_ms, latest, spans):
    """An event that was seen before is found, whatever was asked before it."""
    kept = DigestSlices(window_ms, dict(latest))
    for start_ms, length_ms in spans:
        end_of_slice = (kept.index(start_ms) + 1) * kept.length_ms
        last_ms = min(start_ms + length_ms, end_of_slice - 1)
        fresh = DigestSlices(window_ms, dict(kept.latest)).keys(SHARD, start_ms, last_ms)
        asked = kept.keys(SHARD, start_ms, last_ms)
        assert asked[0] == fresh[0]
        assert set(asked) >= set(fresh)


def test_the_same_answer_is_the_same_object():
    """Who packs the names can see that they are what they were."""
    slices = DigestSlices(1000)
    asked = slices.keys(SHARD, 10_000, 10_001)
    assert slices.keys(SHARD, 10_100, 10_499) is asked
    assert slices.keys(SHARD, 10_500, 10_500) is not asked
