"""Ending tasks for certain.

A cancellation can get lost: who answers one that comes while it connects with an exception of its
own, as some clients do, goes on. So a task is asked again until it has ended.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, NoReturn

from gateway.errors import GatewayError

_ASK_AGAIN_S = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel `tasks` and return when all have ended, however; their exceptions are dropped.

    Whoever is cancelled meanwhile, and so asked again too, still waits for the last of them.
    """
    pending, was_cancelled = set(tasks), False
    while pending:
        for task in pending:
            task.cancel()
        try:
            _, pending = await asyncio.wait(pending, timeout=_ASK_AGAIN_S)
        except asyncio.CancelledError:
            was_cancelled = True
            pending = {task for task in pending if not task.done()}
    if was_cancelled:
        raise asyncio.CancelledError


def raise_failure(task: asyncio.Task[Any]) -> NoReturn:
    """Raise why a loop has ended that should have gone on."""
    error = task.exception()
    if error is not None:
        raise error
    raise GatewayError(f"the {task.get_name()} has ended by itself")


async def together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run `loops` until cancelled, or until one fails, which is raised; then all have ended.

    A TaskGroup asks its tasks to end once, and waits for ever for one on which that is lost.
    """
    tasks = [asyncio.create_task(loop) for loop in loops]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await end(tasks)
