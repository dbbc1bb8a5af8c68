"""Five hundred watchers that never read, and those beside them."""

import asyncio
from pathlib import Path

import pytest
from members import crowd, join
from support.eventually import eventually
from support.stream_client import stream_client

STALLED, OUTBOX, EVENTS, SIZE = 500, 64 << 10, 400, 5_000
MIB = 1 << 20


@pytest.fixture
def settings():
    # Who never reads answers no ping either: that is not what it is to be let go for.
    return {"feed": {"outbox": "64KiB", "ping_interval": "10m"}}


def most_bytes(pid):
    """The most memory that a process has ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


async def let_go(gateway):
    return await gateway.metric('gateway_feed_let_go_total{reason="slow"}')


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
        assert await eventually(lambda: _is(let_go(gateway), STALLED), within_s=60)
        # An outbox, a page that went beyond it, and what a closing connection takes.
        assert most_bytes(gateway.pid) - before < STALLED * 2 * OUTBOX + 32 * MIB
        await asyncio.gather(*(_comes_back(gateway, one) for one in stalled[:10]))
    ledger = await gateway.settled()
    assert ledger["overall"]["published"] == EVENTS


async def _is(asked, expected):
    return await asked == expected


async def _comes_back(gateway, slow):
    slow.transport.resume_reading()
    async with asyncio.timeout(60):
        await slow.ended.wait()
    assert slow.numbers == list(range(len(slow.numbers)))
    assert len(slow.numbers) < EVENTS
    back = await join(gateway, slow.user, since=slow.cursor)
    assert back.first["recovered"] is True
    await back.has(EVENTS - len(slow.numbers))
    assert slow.numbers + back.numbers == list(range(EVENTS))
    back.transport.abort()


async def test_an_sdk_that_does_not_read_is_let_go_alone(gateway, sender):
    """With 1013, after which Stream's SDK comes back: what it had got is in order and whole, and
    who watches beside it gets everything.
    """
    base, path = f"http://127.0.0.1:{gateway.port}", "/video/call/default/numbers"
    async with stream_client(base, "slow") as slow, stream_client(base, "quick") as quick:
        for one in (quick, slow):
            await one.connect()
            assert (await one.ask("POST", path, {}, watching=True)).status in (200, 201)
        slow.socket._response.connection.transport.pause_reading()
        leaving = asyncio.create_task(_seen_when_let_go(gateway, slow.socket))
        for number in range(60):
            await sender.number(size=50_000)
            assert await _number(quick) == number
        seen = await leaving
        assert slow.socket.close_code == 1013
        assert seen == list(range(len(seen)))
        assert len(seen) < 60
        await slow.connect()
        await slow.ask("POST", path, {}, watching=True)
        await sender.number()
        assert await _number(slow) == 60


async def _seen_when_let_go(gateway, socket):
    """What a client has got that reads on as soon as it has been let go: it is not waited for."""
    await eventually(lambda: let_go(gateway))
    socket._response.connection.transport.resume_reading()
    return [said async for said in _until_closed(socket)]


async def _number(client):
    while (said := await client.event())["type"] != "custom":
        pass
    return said["custom"]["n"]


async def _until_closed(socket):
    async for message in socket:
        said = message.json()
        if said["type"] == "custom":
            yield said["custom"]["n"]
