"""Everybody comes at once: after a restart, a network's hiccup, a deploy."""

import asyncio
import os
import time

import pytest
from members import crowd, join, join_at_last
from support.eventually import eventually

LONG = bool(os.environ.get("GATEWAY_LONG"))
MEMBERS = 10_000 if LONG else 1_500
PER_S = 1_000
LONGEST_S = 300 if LONG else 120


@pytest.mark.hard
@pytest.mark.timeout(2 * LONGEST_S)
async def test_a_storm_is_let_in_at_a_bounded_rate(gateway, sender):
    """All are in within time, no faster than they may, and whoever watched before notices nothing."""
    async with crowd(gateway, 1) as (before,):
        await sender.number()  # on a connection that it keeps, as Stream does
        storming = asyncio.create_task(_storm(gateway))
        while not storming.done():
            await sender.number()
            await before.has(sender.sent, within_s=60)
        members, took = await storming
        assert took > (MEMBERS - 100) / PER_S
        assert took < LONGEST_S
        # As the gateway sees it, for these members and their clock share a core with it, and
        # within what Stream waits for.
        for what in ("ack", "feed"):
            in_time = await gateway.metric(f'gateway_{what}_seconds_bucket{{le="15.0"}}')
            assert in_time == await gateway.metric(f"gateway_{what}_seconds_count")
        await sender.number()
        everybody = [before, *members]
        await eventually(
            lambda: all(one.has_come_to(sender.sent - 1) for one in everybody), within_s=60
        )
        assert before.numbers == list(range(sender.sent))
        for one in members:
            assert one.numbers == list(range(one.numbers[0], sender.sent))
            one.transport.abort()


async def _storm(gateway):
    began = time.monotonic()
    members = await asyncio.gather(
        *(join_at_last(gateway, f"user-{number}") for number in range(MEMBERS))
    )
    return members, time.monotonic() - began


class TestBounds:
    @pytest.fixture
    def settings(self):
        return {"feed": {"max_connections": 4, "max_connections_per_user": 2}}

    async def test_a_user_has_so_many_connections(self, gateway):
        """The one beyond is told code 71 and closed with a code after which one comes back."""
        first, second = await join(gateway, "alice"), await join(gateway, "alice")
        assert first.watches
        assert second.watches
        third = await join(gateway, "alice")
        await third.ended.wait()
        assert third.first["code"] == 71
        assert third.code == 1013
        other = await join(gateway, "bob")
        assert other.watches
        for one in (first, second, other):
            one.transport.abort()

    async def test_all_together_have_so_many(self, gateway):
        """Beyond it the upgrade itself is answered 503."""
        async with crowd(gateway, 4) as members:
            beyond = await join(gateway, "late")
            assert (beyond.status, beyond.watches) == (503, False)
            members.pop().transport.abort()
            assert (await join_at_last(gateway, "late")).watches
