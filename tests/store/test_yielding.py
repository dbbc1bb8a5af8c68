"""Near the engine's memory bound history gives way, then states of calls, and nothing else."""

import asyncio
import logging
import os
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from support.calls import make_call
from support.engines import supervised
from support.eventually import eventually
from support.machine_memory import MachineMemory
from support.streams import TestPublisher, assert_balanced, delivering, event, served

from gateway.clock import now_ms
from gateway.engine.engine import Engine
from gateway.engine.info import memory_at
from gateway.event import Event
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import MIB, JournalOptions, RetentionOptions
from gateway.sizing import DIGEST_BYTES, whole_bytes
from gateway.store import keys
from gateway.store.publishing.publisher import Publisher
from gateway.store.scripts import call
from gateway.store.states.call_store import CallStore
from gateway.store.taking.consumer_group import Group
from gateway.store.taking.subscriptions import Subscriptions
from gateway.store.upkeep.memory_report import largest_holders
from gateway.store.upkeep.yielding import BEGIN, UNTIL, Yielding
from gateway.subscribers.outcome import Delivered
from gateway.tasks import end

BOUND = 24 * MIB  # of what it holds
APP = "app"
LONG = bool(os.environ.get("GATEWAY_LONG"))


class Rig:
    """An engine with a small bound, and what fills it."""

    def __init__(self, url, history_s=3600.0):
        self.url = url
        self.engine, self.redis, self.metrics = Engine(url), Redis.from_url(url), Metrics()
        self.publisher, self.calls = TestPublisher(url), CallStore(self.engine)
        self.options = RetentionOptions(history_s=history_s)
        self.yielding = Yielding(self.engine, self.options, self.metrics)
        self.sent = 0

    async def share(self):
        return (await memory_at(self.engine, 0)).share

    async def fill(self, upto, *, at_ms=None):
        """Publish events of many calls until so much of the bound is used; as it was from `at_ms`
        on, before anything else. Return when the next would be.
        """
        while await self.share() < upto:
            some = [event(self.sent + n, call=f"default:{n}", size=4000) for n in range(64)]
            await self.publisher.publish(*some, at_ms=at_ms)
            self.sent += len(some)
            at_ms = at_ms and at_ms + 1
        return at_ms

    async def kept(self):
        return sum([await self.redis.xlen(keys.events(shard)) for shard in range(keys.SHARDS)])

    async def states(self):
        found = [await self.redis.hlen(keys.call_states(n)[0]) for n in range(keys.SHARDS)]
        return sum(found)

    async def join(self, name):
        """Make a subscriber known that reads nothing."""
        await Subscriptions(self.engine).register(name)
        for shard in range(keys.SHARDS):
            await call(self.engine, Group(shard, name).join("earliest"))

    def yielded(self, what):
        return self.metrics.yielded.values.get((what,), 0)

    async def close(self):
        await self.publisher.close()
        await self.redis.aclose()
        await self.engine.close()


@asynccontextmanager
async def small_engine(folder, **more):
    async with supervised(folder, max_memory_bytes=whole_bytes(BOUND)) as engine:
        rig = Rig(engine.url, **more)
        try:
            yield rig
        finally:
            await rig.close()


def lines(caplog, word):
    return [one for one in caplog.messages if word in one]


async def make_calls(rig, count, size=2000):
    for n in range(count):
        await make_call(rig.calls, APP, f"default:{n}", call=b'{"id":"%s"}' % (b"x" * size))


async def test_below_the_bound_nothing_gives_way(tmp_path):
    """However much history there is, as long as it has room."""
    async with small_engine(tmp_path) as rig:
        await rig.fill(BEGIN - 0.1)
        await rig.yielding.look()
        assert await rig.kept() == rig.sent
        assert not rig.metrics.yielded.values


async def test_history_goes_first_oldest_first(tmp_path, caplog):
    """As much as has to, and no state of a call; it is told once."""
    caplog.set_level(logging.INFO)
    async with small_engine(tmp_path) as rig:
        await make_calls(rig, 200)
        at_ms = now_ms() - 1_800_000
        for _ in range(3):
            at_ms = await rig.fill(BEGIN + 0.05, at_ms=at_ms)
            await rig.yielding.look()
            assert UNTIL - 0.1 < await rig.share() <= BEGIN
        assert await rig.kept() == rig.sent - rig.yielded("history")
        for shard in range(keys.SHARDS):
            (_, fields), *_ = await rig.redis.xrange(keys.events(shard), count=1)
            trimmed = int(await rig.redis.hget(keys.shard_state(shard), "trimmed") or 0)
            assert int(fields[b"n"]) == trimmed + 1
        assert await rig.states() == 200
        assert len(lines(caplog, "history gives way")) == 1
        assert lines(caplog, "history reaches back") == []
        (warning,) = rig.yielding.warnings()
        assert "history gives way" in warning
        assert "raise the engine's memory" in warning
        assert "now it reaches back 1" in warning  # some 1,800 s


async def test_it_is_told_when_history_is_whole_again(tmp_path, caplog):
    """Once what went would have gone by itself."""
    caplog.set_level(logging.INFO)
    async with small_engine(tmp_path, history_s=1.0) as rig:
        await rig.fill(BEGIN + 0.05)

        async def told():
            await rig.yielding.look()
            return lines(caplog, "history reaches back")

        await eventually(told)
        await rig.yielding.look()
        assert len(lines(caplog, "history gives way")) == 1
        assert len(lines(caplog, "history reaches back")) == 1
        assert rig.yielding.warnings() == []


async def test_then_the_longest_untouched_calls(tmp_path, caplog):
    """Where everything waits for a subscriber, states of calls give way, and no event does."""
    async with small_engine(tmp_path) as rig:
        await rig.join("slow")
        await make_calls(rig, 1500)
        await make_call(rig.calls, APP, "default:0", call=b'{"id":"touched"}')
        await rig.fill(BEGIN + 0.03)
        for _ in range(3):
            await rig.yielding.look()
        assert await rig.kept() == rig.sent
        assert rig.yielded("history") == 0
        assert await rig.share() <= BEGIN
        assert 0 < await rig.states() == 1500 - rig.yielded("calls") < 1500
        assert await rig.calls.get(APP, "default:0") is not None
        assert await rig.calls.get(APP, "default:1") is None
        assert len(lines(caplog, "states of calls give way")) == 1
        assert lines(caplog, "history gives way") == []
        (warning,) = rig.yielding.warnings()
        assert "Look who is behind" in warning
        await assert_balanced(rig.url)


async def test_what_is_needed_never_goes(tmp_path):
    """Neither what a subscriber has not read nor a digest, however full it is: then whoever asks
    is told who holds the memory.
    """
    async with small_engine(tmp_path) as rig:
        await rig.join("slow")
        digests = [n.to_bytes(16, "big") for n in range(20_000)]
        for shard in range(keys.SHARDS):
            await rig.redis.sadd(keys.seen(shard, 1000, 7), *digests)
            places = {"low:1000": 7, "slice:1000": 7}
            await rig.redis.hset(keys.shard_state(shard), mapping=places)
        await rig.fill(0.97)
        for _ in range(3):
            await rig.yielding.look()
        assert await rig.kept() == rig.sent
        assert not rig.metrics.yielded.values
        for shard in range(keys.SHARDS):
            assert await rig.redis.scard(keys.seen(shard, 1000, 7)) == len(digests)
        told = await largest_holders(rig.engine)
        size = keys.SHARDS * len(digests) * DIGEST_BYTES / MIB
        assert f"digests (ingest.dedupe_window) {size:.0f} MiB" in told
        assert told.startswith("what waits for slow 1")
        await assert_balanced(rig.url)


async def test_a_full_engine_takes_the_commands_that_make_room(tmp_path):
    """A subscriber can be paused, resumed and forgotten; then there is room again."""
    async with small_engine(tmp_path) as rig:
        await rig.join("slow")
        await rig.fill(0.97)
        await rig.engine.command("CONFIG", "SET", "maxmemory", int(0.9 * BOUND))
        subscriptions = Subscriptions(rig.engine)
        assert await subscriptions.pause("slow")
        assert await subscriptions.resume("slow")
        assert not await subscriptions.resume("nobody")
        assert await subscriptions.forget("slow")
        await rig.yielding.look()
        assert await rig.share() <= BEGIN


async def test_an_engine_without_a_bound_has_nothing_to_yield(tmp_path):
    """A Redis with maxmemory 0 is looked at, and left as it is."""
    async with small_engine(tmp_path) as rig:
        await rig.fill(BEGIN + 0.05)
        await rig.engine.command("CONFIG", "SET", "maxmemory", 0)
        await rig.yielding.look()
        assert await rig.kept() == rig.sent


async def test_an_engine_that_may_not_be_asked(tmp_path, caplog):
    """Is told once, with what to allow and what it means meanwhile, and once when it is over."""
    caplog.set_level(logging.INFO)
    async with small_engine(tmp_path) as rig:
        running = asyncio.create_task(rig.yielding.run())
        for _ in range(2):
            caplog.clear()
            await rig.redis.execute_command("ACL", "SETUSER", "default", "-info")
            await eventually(lambda: "Allow INFO" in "".join(rig.yielding.warnings()))
            await rig.redis.execute_command("ACL", "SETUSER", "default", "+info")
            await eventually(lambda: not rig.yielding.warnings())
            assert len(lines(caplog, "does not let its memory be looked at")) == 1
            assert len(lines(caplog, "lets its memory be looked at again")) == 1
        await end([running])


async def test_one_of_several_subscribers_stands_still(tmp_path):
    """What it has not read stays, whatever the others have; and it is who is named."""
    async with small_engine(tmp_path) as rig:
        await rig.join("slow")
        subscriber = Counting()
        async with delivering(rig.url, served(subscriber, start="earliest")):
            await rig.fill(0.97)
            await eventually(lambda: subscriber.count == rig.sent, within_s=60)
            for _ in range(3):
                await rig.yielding.look()
            assert await rig.kept() == rig.sent
            told = await largest_holders(rig.engine)
            assert told.startswith("what waits for slow")
            assert "sub" not in told
            await rig.redis.execute_command("CONFIG", "SET", "maxmemory", int(0.9 * BOUND))
            assert await Subscriptions(rig.engine).forget("slow")
            await rig.yielding.look()
            assert await rig.share() <= BEGIN
            await assert_balanced(rig.url)


class Counting:
    """A healthy subscriber that only counts."""

    def __init__(self):
        self.count = 0

    async def attempt(self, _):
        self.count += 1
        return Delivered(200)

    async def close(self):
        pass


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("told", [64 * MIB, 128 * MIB])
async def test_three_hours_of_events(tmp_path, told):
    """With a healthy subscriber, events of 1 KB by the hundred a second and a small engine nothing
    stands still: each is delivered, and the digests of a window and a half stay. Told 128 MiB, the
    engine stays within 128 MB, also while a fork of it rewrites its file. (Fewer a second, when
    there is little time.)
    """
    rate, hours = (100 if LONG else 10), 3
    total, window_s = rate * hours * 3600, 3600.0
    metrics, subscriber = Metrics(), Counting()
    async with supervised(tmp_path / "engine", max_memory_bytes=told) as engine:
        options = JournalOptions(segment_bytes=8 * MIB, keep_s=0)
        journal = Journal(tmp_path / "journal", options, metrics)
        publisher = Publisher(engine.url, journal, metrics, window_s=window_s, timeout_s=30)
        own = Engine(engine.url)
        yielding = Yielding(own, RetentionOptions(), metrics, is_own=True)
        with MachineMemory(engine.pid) as machine:
            async with delivering(engine.url, served(subscriber)):
                running = await started(publisher, yielding)
                begun_ms, batch = now_ms() - hours * 3_600_000, 500
                for first in range(0, total, batch):
                    journal.append([at(begun_ms, n, rate) for n in range(first, first + batch)])
                    publisher.wake()
                    await eventually(lambda: (publisher.waiting or 0) < 4 * batch, within_s=120)
                    await eventually(lambda: first - subscriber.count < 4 * batch, within_s=120)  # noqa: B023
                await eventually(lambda: subscriber.count == total, within_s=120)
                memory = await memory_at(own, keys.EVENTS[0])
                digests = range(int(rate * window_s), int(1.6 * rate * window_s))
                # Digests are forgotten once a second, and an hour takes less here.
                await eventually(lambda: in_range(digests, engine.url))
                await end(running)
        assert metrics.yielded.values[("history",)] > 0
        assert ("calls",) not in metrics.yielded.values
        assert memory.used_bytes < memory.bound_bytes < told
        assert machine.peak_forked_bytes > 0
        if told == 128 * MIB:
            assert machine.peak_bytes < 128_000_000
        accounts = await assert_balanced(engine.url)
        assert accounts["sub"]["delivered"] == total == accounts["sub"]["published"]
        journal.close()
        await own.close()


async def started(publisher, yielding):
    return [asyncio.create_task(publisher.run()), asyncio.create_task(yielding.run())]


def at(begun_ms, n, rate):
    """Event `n` of so many a second, as it was accepted then."""
    body = b'{"type":"call.updated","n":%d,"custom":"%s"}' % (n, b"x" * 980)
    return Event(
        app=APP,
        type="call.updated",
        call_cid=f"default:{n % 97}",
        body=body,
        accepted_ms=begun_ms + n * 1000 // rate,
        key=n.to_bytes(16, "big"),
    )


async def in_range(counts, url):
    async with Redis.from_url(url) as redis:
        found = [await redis.scard(key) async for key in redis.scan_iter("gw:*:seen:*")]
        return sum(found) in counts
