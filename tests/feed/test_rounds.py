"""Rounds over a crowd, by a clock that moves with the rests alone."""

import asyncio
from itertools import pairwise

import pytest

from gateway.feed.pacing import spread

OVER_S = 3.0


@pytest.fixture
def clock(monkeypatch):
    """Reads how long has been rested."""
    rests_s = []

    async def rest(seconds):
        rests_s.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", rest)
    return lambda: sum(rests_s)


@pytest.mark.parametrize("count", [1, 7, 300, 5000])
async def test_a_round_is_spread_evenly(clock, count):
    """Everybody is met once, over the whole time, and no more at once than there have to be."""
    met_at = {}

    def meet(one):
        assert one not in met_at
        met_at[one] = clock()

    await spread(set(range(count)), meet, OVER_S)
    assert len(met_at) == count
    assert clock() == pytest.approx(OVER_S)
    moments = sorted({round(at, 6) for at in met_at.values()})
    assert len(moments) == min(count, 150)
    assert all(
        b - a == pytest.approx(OVER_S / len(moments), abs=1e-4) for a, b in pairwise(moments)
    )
    at_once = [list(met_at.values()).count(at) for at in set(met_at.values())]
    assert max(at_once) - min(at_once) <= 1


async def test_who_has_left_meanwhile_is_not_met(clock):
    """Nor whoever comes during the round: the next one is theirs."""
    crowd, met = set(range(100)), []

    def meet(one):
        met.append(one)
        crowd.discard(one + 1)
        crowd.add(one + 1000)

    await spread(crowd, meet, OVER_S)
    assert met == list(range(0, 100, 2))
