"""Rounds over a crowd: something done to everybody, spread evenly over a time, a few at once."""

import asyncio
from collections.abc import Callable, Collection
from typing import TypeVar

T = TypeVar("T")
_STEP_S = 0.02


async def spread(crowd: Collection[T], act: Callable[[T], object], over_s: float) -> None:
    """Do `act` to each of those who are in `crowd` now, unless they have left it meanwhile."""
    members = tuple(crowd)
    steps = max(1, min(len(members), int(over_s / _STEP_S)))
    for number in range(steps):
        for one in members[number::steps]:
            if one in crowd:
                act(one)
        await asyncio.sleep(over_s / steps)


async def keep_pinging(crowd: Collection[T], ping: Callable[[T], object], every_s: float) -> None:
    """Ping everybody once in each interval, until cancelled."""
    while True:
        await spread(crowd, ping, every_s)
