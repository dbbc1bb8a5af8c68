"""Waiting for a condition instead of sleeping. Bounds are generous: waiting costs nothing when it
ends early, and a busy machine may take seconds for anything.
"""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any


async def eventually(
    condition: Callable[[], Any] | Callable[[], Awaitable[Any]], *, within_s: float = 30.0
) -> Any:
    """Return the first truthy value of `condition`; fail with its last value after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {within_s} s")
        await asyncio.sleep(0.01)
