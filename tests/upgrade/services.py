"""The subscribers of these tests: their services, and how a gateway is configured for them.

Nothing may become too old in a stored state, whenever the tests run: every bound in time is wider
than the files will ever be old, but no wider than the time since 1970, from which some are counted.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from support.receiver import Behaviour, Received, Receiver, black_hole, running_receiver, status

FOR_EVER = "15000d"
HANGS = 0  # in place of a status: never answered

# What the stored state has subscribers for, and how each is configured beyond what all have.
SUBSCRIBERS = {
    "shipped": {"order": "call"},  # takes everything
    "failing": {},  # 500: all is parked
    "refusing": {},  # 400 and 410: all is buried
    "picky": {"match": {"types": ["call.*"]}},
    "paused": {},  # by command
    "closed": {"on_410": "pause"},  # by its own answer
    "left": {},  # 500; in the configuration of whoever takes over it is no more
}

Answer = int | Callable[[bytes], int]


class Services:
    """One address, a path for each. `answers` may be changed; `taken` is what got a 200."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.taken: dict[str, list[Received]] = {name: [] for name in SUBSCRIBERS}
        self.asked: Counter[str] = Counter()
        self.receiver: Receiver | None = None

    def answer(self, request: Received) -> Behaviour:
        name = request.path[1:]
        answer = self.answers.get(name, 200)
        code = answer(request.body) if callable(answer) else answer
        self.asked[name] += 1
        if code == 200:
            self.taken[name].append(request)
        return black_hole() if code == HANGS else status(code)

    def bodies(self, name: str) -> list[bytes]:
        return [request.body for request in self.taken[name]]

    def repeats(self, name: str) -> int:
        """How many came to `name` that it had already taken."""
        bodies = self.bodies(name)
        return len(bodies) - len(set(bodies))

    def subscribers(self, *names: str, timeout: str = "30s") -> list[dict]:
        return [self._subscriber(name, timeout) for name in names]

    def _subscriber(self, name: str, timeout: str) -> dict:
        retry = {
            "total": "60s",
            "status_attempts": 1,
            "slow_first": "1s",
            "slow_max": "1s",
            "slow_horizon": FOR_EVER,
        }
        return {
            "name": name,
            "kind": "http",
            "url": f"http://127.0.0.1:{self.receiver.port}/{name}",
            "timeout": timeout,
            "retry": retry,
            "backlog": {"max_age": FOR_EVER},
            **SUBSCRIBERS[name],
        }


@asynccontextmanager
async def running_services() -> AsyncIterator[Services]:
    services = Services()
    async with running_receiver(services.answer) as services.receiver:
        yield services


def refused(body: bytes) -> int:
    """400 or 410, the same for the same event."""
    return 410 if orjson.loads(body).get("custom", {}).get("n", 0) % 2 else 400


def bounds() -> dict:
    """The parts of a configuration that say how old anything may become."""
    return {
        "ingest": {"dedupe_window": FOR_EVER},
        "retention": {"history": FOR_EVER, "dead_letters": FOR_EVER},
        "feed": {"calls_retention": FOR_EVER},
    }
