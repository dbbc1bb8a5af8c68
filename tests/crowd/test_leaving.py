"""SIGTERM while a crowd watches."""

import asyncio
import signal

import aiohttp
import pytest
from members import crowd

MEMBERS, DRAIN_S = 300, 5.0


@pytest.fixture
def settings():
    return {"server": {"drain": f"{int(DRAIN_S * 1000)}ms"}}


async def readiness(gateway):
    url = f"http://127.0.0.1:{gateway.port}/readyz"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_a_crowd_is_let_go_spread_out(gateway, sender):
    """Not ready first; then everybody is closed with 1012, over the whole drain, and all of what
    was sent has come.
    """
    async with crowd(gateway, MEMBERS) as members:
        await sender.number(10)
        await asyncio.gather(*(one.has(10) for one in members))
        assert await readiness(gateway) == 200
        gateway.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            await asyncio.wait(
                [asyncio.create_task(one.ended.wait()) for one in members],
                return_when=asyncio.FIRST_COMPLETED,
            )
            assert await readiness(gateway) == 503
            for one in members:
                await one.ended.wait()
        assert [one.code for one in members] == [1012] * MEMBERS
        assert [one.numbers for one in members] == [list(range(10))] * MEMBERS
        ended = sorted(one.ended_at - members[0].ended_at for one in members)
        assert ended[-1] - ended[0] > DRAIN_S / 2  # how evenly, test_rounds.py tells
        assert await gateway.ended() == 0
