"""Ending tasks for certain."""

import asyncio

import pytest

from gateway.tasks import end, together


class Stubborn:
    """A loop on which the first `times` cancellations get lost."""

    def __init__(self, times):
        self.times, self.ended = times, False

    async def run(self):
        try:
            while True:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    self.times -= 1
                    if self.times < 0:
                        raise
        finally:
            self.ended = True


async def test_a_cancellation_that_gets_lost_is_repeated():
    """However often, the task has ended when `end` returns."""
    one = Stubborn(3)
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0)
    await end([task])
    assert one.ended


async def test_loops_that_run_together_end_together():
    """Cancelled once or again and again: no loop is left behind, in whatever way they are nested."""
    loops = [Stubborn(2), Stubborn(0), Stubborn(3)]
    task = asyncio.create_task(together(loops[0].run(), together(loops[1].run(), loops[2].run())))
    for _ in range(3):
        await asyncio.sleep(0)
    await end([task])
    assert task.cancelled()
    assert all(one.ended for one in loops)


async def test_one_that_fails_ends_the_others():
    """Its error is what comes out."""
    other = Stubborn(1)

    async def fail():
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await together(other.run(), fail())
    assert other.ended
