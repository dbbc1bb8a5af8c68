"""What questions may take of a process that has other things to do."""

import asyncio
import time

import pytest

from gateway.calls.errors import StreamError
from gateway.calls.query_turns import LoopShare, QueryTurns
from gateway.calls.tokens import Identity

ANNA, BEN, APP = (Identity("key", user) for user in ("anna", "ben", None))


async def test_a_long_look_gives_way():
    """However much there is to look at, others get the loop every few milliseconds."""
    share, most, looked = LoopShare(), 0, []

    async def others():
        nonlocal most
        while len(looked) < 200:
            before = len(looked)
            await asyncio.sleep(0)
            most = max(most, len(looked) - before)

    def look(one):
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        looked.append(one)

    meanwhile = asyncio.create_task(others())
    await asyncio.sleep(0)
    spent_s = await share.each(range(200), look)
    await meanwhile
    assert looked == list(range(200))
    assert spent_s >= 0.2
    assert most <= 6  # of them in one go, a millisecond or more each


async def test_one_user_has_a_few_questions_at_a_time():
    """Who asks without end is refused with code 9; everybody else still gets a turn."""
    turns, free = QueryTurns(), asyncio.Event()

    async def ask(who):
        async with turns.turn(who):
            await free.wait()

    asked = [asyncio.create_task(ask(ANNA)) for _ in range(4)]
    asked += [asyncio.create_task(ask(who)) for who in (BEN, *[APP] * 10)]
    await asyncio.sleep(0)
    with pytest.raises(StreamError) as refused:
        await ask(ANNA)
    assert (refused.value.code, refused.value.status) == (9, 429)
    free.set()
    await asyncio.gather(*asked)
    await ask(ANNA)
