"""Ending tasks for certain.

A cancellation can get lost: redis-py answers one that comes while it connects with an exception
of its own, after which the task goes on. So it is asked again until it has ended.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

_ASK_AGAIN_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel `tasks` and return when all have ended, however; their exceptions are dropped."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)
