"""Five hundred watchers that never read, and those beside them."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from members import crowd, join
from support.eventually import eventually

STALLED, OUTBOX, EVENTS, SIZE = 500, 64 << 10, 400, 5_000
MIB = 1 << 20


@pytest.fixture
def settings():
    return {"feed": {"outbox": "64KiB"}}


def most_bytes(pid):
    """The most memory that a process has ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


async def let_go(gateway):
    url = f"http://127.0.0.1:{gateway.admin_port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        for line in (await response.text()).splitlines():
            if line.startswith('gateway_feed_let_go_total{reason="slow"}'):
                return float(line.split()[1])
    return 0


async def test_who_never_reads_costs_a_bounded_memory_and_nobody_else(gateway, sender):
    """Each is let go beyond its outbox and may come back without a loss; all others get all."""
    async with crowd(gateway, 20) as readers, crowd(gateway, STALLED, reads=False) as stalled:
        before = most_bytes(gateway.pid)
        for number in range(EVENTS):
            await sender.number(size=SIZE)
            if number % 10 == 9:
                await asyncio.gather(*(one.has(number + 1) for one in readers))
        for one in readers:
            assert one.numbers == list(range(EVENTS))
        assert await eventually(lambda: _is(let_go(gateway), STALLED), within_s=30)
        # An outbox, a page that went beyond it, and what a closing connection takes.
        assert most_bytes(gateway.pid) - before < STALLED * 2 * OUTBOX + 32 * MIB
        await asyncio.gather(*(_comes_back(gateway, one) for one in stalled[:10]))
    ledger = await gateway.settled()
    assert ledger["overall"]["published"] == EVENTS


async def _is(asked, expected):
    return await asked == expected


async def _comes_back(gateway, slow):
    slow.transport.resume_reading()
    async with asyncio.timeout(30):
        await slow.ended.wait()
    assert slow.numbers == list(range(len(slow.numbers)))
    assert len(slow.numbers) < EVENTS
    back = await join(gateway, slow.user, since=slow.cursor)
    assert back.first["recovered"] is True
    await back.has(EVENTS - len(slow.numbers))
    assert slow.numbers + back.numbers == list(range(EVENTS))
    back.transport.abort()
