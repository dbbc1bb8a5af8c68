"""A publisher for tests, subscribers that misbehave on order, and the ledger's verdict."""

import asyncio
import inspect
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from support.eventually import eventually

from gateway.delivery.service import DeliveryService, Everything, Served
from gateway.engine.engine import Engine
from gateway.event import Event
from gateway.metrics import Metrics
from gateway.options import RetryOptions, SubscriberOptions
from gateway.store import keys
from gateway.store.taking.holders import Holder
from gateway.store.upkeep.ledger import read_ledger
from gateway.subscribers.contract import Attempt
from gateway.subscribers.outcome import Delivered, Outcome
from gateway.tasks import end

# Stream's table with the waits of a test.
QUICK = RetryOptions(
    timeout_s=1.0,
    total_s=60.0,
    waits_s=(0.005, 0.01),
    slow_first_s=0.001,
    slow_max_s=0.05,
    slow_horizon_s=3600.0,
)


def event(
    number: int,
    *,
    call: str | None = "default:1",
    app: str = "app",
    kind: str = "call.updated",
    size: int = 0,
) -> Event:
    """An event whose body says its number."""
    body = b'{"type":"%s","n":%d%s}' % (kind.encode(), number, b" " * size)
    key = number.to_bytes(16, "big")
    return Event(
        app=app, type=kind, call_cid=call, accepted_ms=1_700_000_000_000, key=key, body=body
    )


class TestPublisher:
    """Writes entries as the gateway's publisher does, without dedupe or journal."""

    __test__ = False

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)
        self.published = 0

    async def publish(self, *events: Event, at_ms: int | None = None) -> None:
        """Publish now, or as it was at `at_ms`, before anything else."""
        by_shard: dict[int, list[Event]] = defaultdict(list)
        for each in events:
            by_shard[keys.shard_of(each.order_key)].append(each)
        for shard, batch in by_shard.items():
            await self.write(shard, await self.state(shard), batch, at_ms)
        self.published += len(events)

    async def state(self, shard: int) -> list[int]:
        state = await self._redis.hmget(keys.shard_state(shard), "published", "bytes")
        return [int(value or 0) for value in state]

    async def write(
        self, shard: int, state: Iterable[int], batch: Iterable[Event], at_ms: int | None = None
    ) -> None:
        """Add `batch` behind `state`, in one round trip."""
        number, offset = state
        async with self._redis.pipeline(transaction=True) as pipe:
            for each in batch:
                number += 1
                fields: dict[Any, Any] = {"n": number, "o": offset, "m": each.meta, "b": each.body}
                pipe.xadd(keys.events(shard), fields, id="*" if at_ms is None else f"{at_ms}-*")
                offset += len(each.meta) + len(each.body)
            values: dict[Any, Any] = {"published": number, "bytes": offset}
            pipe.hset(keys.shard_state(shard), mapping=values)
            await pipe.execute()

    async def close(self) -> None:
        await self._redis.aclose()


@pytest.fixture
async def publisher(engine_url: str) -> AsyncIterator[TestPublisher]:
    """Who writes to the engine that is shared."""
    publisher = TestPublisher(engine_url)
    yield publisher
    await publisher.close()


class Recorder:
    """A subscriber that notes what it is given; `answer(attempt)` says what comes of it."""

    def __init__(self, answer: Callable[[Attempt], Any] | None = None) -> None:
        self.answer = answer or (lambda _: Delivered(200))
        self.attempts: list[Attempt] = []
        self.delivered: list[Attempt] = []
        self.running = self.most_running = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def attempt(self, attempt: Attempt) -> Outcome:
        self.attempts.append(attempt)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.gate.wait()
            answered = self.answer(attempt)
            outcome: Outcome = await answered if inspect.isawaitable(answered) else answered
        finally:
            self.running -= 1
        if isinstance(outcome, Delivered):
            self.delivered.append(attempt)
        return outcome

    async def close(self) -> None:
        pass

    def bodies(self) -> list[bytes]:
        return [attempt.body for attempt in self.delivered]


def options(name: str = "sub", **more: Any) -> SubscriberOptions:
    given: dict[str, Any] = {"name": name, "kind": "log", "retry": QUICK, **more}
    return SubscriberOptions(**given)


def served(subscriber: Any, matcher: Any = None, **more: Any) -> Served:
    return Served(options(**more), subscriber, matcher or Everything())


@asynccontextmanager
async def delivering(
    url: str,
    *all_served: Served,
    ttl_s: float = 10.0,
    poll_s: float = 1.0,
    holder: str = "",
    metrics: Metrics | None = None,
    drain_s: float = 30.0,
    timeout_s: float = 5.0,
    crash: bool = False,
) -> AsyncIterator[DeliveryService]:
    """A delivery service at work, joined; drained at the end, or cut off as by a crash."""
    engine = Engine(url, timeout_s=timeout_s)
    service = DeliveryService(
        engine, all_served, metrics or Metrics(), holder=Holder(holder), ttl_s=ttl_s, poll_s=poll_s
    )
    task = asyncio.create_task(service.run())
    try:
        joined = asyncio.create_task(service.joined.wait())
        await asyncio.wait((joined, task), return_when=asyncio.FIRST_COMPLETED, timeout=60)
        joined.cancel()
        if task.done():
            task.result()
        assert service.joined.is_set()
        yield service
        if not crash and not task.done():
            await service.drain(drain_s)
            await task
    finally:
        await end([task])
        await engine.close()


async def account(engine: Engine, name: str = "sub") -> dict[str, Any]:
    found: dict[str, Any] = (await read_ledger(engine))["subscribers"][name]
    return found


async def assert_balanced(url: str) -> dict[str, dict[str, Any]]:
    """Assert that every account adds up; return the accounts by name."""
    engine = Engine(url)
    try:
        ledger = await read_ledger(engine)
    finally:
        await engine.close()
    for name, one in ledger["subscribers"].items():
        assert one["balance"] == 0, (name, one)
    accounts: dict[str, dict[str, Any]] = ledger["subscribers"]
    return accounts


async def settled(url: str, name: str = "sub", *, within_s: float = 60.0) -> dict[str, Any]:
    """Wait until nothing of `name` waits any more; return its account, which adds up."""
    engine = Engine(url)

    async def done() -> Any:
        one = await account(engine, name)
        return not any(one["waiting"].values()) and one

    try:
        await eventually(done, within_s=within_s)
    finally:
        await engine.close()
    return (await assert_balanced(url))[name]
