"""One exchange over several servers: each gets its part, and the replies come back in order."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def spread(
    servers: Sequence[str], exchange: Callable[[str, Sequence[int]], Awaitable[Sequence[T]]]
) -> list[T]:
    """Have `exchange` done with each server, for the places in `servers` at which it stands.

    Returns a result for each place. All exchanges come to an end before the first error of one
    is raised, because a connection serves one exchange at a time.
    """
    places: dict[str, list[int]] = {}
    for at, server in enumerate(servers):
        places.setdefault(server, []).append(at)
    answered = await asyncio.gather(
        *(exchange(server, some) for server, some in places.items()), return_exceptions=True
    )
    results: dict[int, T] = {}
    for some, answers in zip(places.values(), answered, strict=True):
        if isinstance(answers, BaseException):
            raise answers
        results.update(zip(some, answers, strict=True))
    return [results[at] for at in range(len(servers))]
