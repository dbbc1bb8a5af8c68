"""An engine at its memory limit takes nothing new, and can always be drained."""

import asyncio

import pytest
from redis.asyncio import Redis
from support.engines import supervised
from support.events import event as accepted
from support.eventually import eventually
from support.streams import (
    QUICK,
    Recorder,
    TestPublisher,
    assert_balanced,
    delivering,
    event,
    served,
    settled,
)

from gateway.clock import now_ms
from gateway.commands import failure
from gateway.engine.engine import Engine
from gateway.errors import EngineFull
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import JournalOptions, RetentionOptions
from gateway.store import keys
from gateway.store.format import check_format
from gateway.store.publishing.publisher import Publisher
from gateway.store.taking.dead_letters import DeadLetters
from gateway.store.taking.subscriptions import Subscriptions
from gateway.store.upkeep.moving import move
from gateway.store.upkeep.retention import Janitor
from gateway.subscribers.outcome import Delivered, Failed, Reason
from gateway.tasks import end

WINDOW_S = 3600.0


class Rig:
    """An engine of our own, `full` or not."""

    def __init__(self, url):
        self.url = url
        self.engine, self.redis = Engine(url), Redis.from_url(url)
        self.publisher = TestPublisher(url)

    async def full(self, is_full=True):
        await self.redis.config_set("maxmemory", 1 if is_full else 0)

    async def close(self):
        await self.publisher.close()
        await self.redis.aclose()
        await self.engine.close()


@pytest.fixture
async def rig(tmp_path):
    async with supervised(tmp_path / "engine") as server:
        rig = Rig(server.url)
        yield rig
        await rig.close()


class Publishing:
    """A journal and its publisher."""

    def __init__(self, rig, folder):
        self.metrics = Metrics()
        self.journal = Journal(folder, JournalOptions(), self.metrics)
        self.publisher = Publisher(rig.url, self.journal, self.metrics, window_s=WINDOW_S)

    def append(self, *events):
        self.journal.append(events)
        self.publisher.wake()

    async def __aenter__(self):
        self.running = asyncio.create_task(self.publisher.run())
        return self

    async def __aexit__(self, *_):
        await end([self.running])
        self.journal.close()

    async def published(self):
        await eventually(lambda: self.publisher.cursor == self.journal.end, within_s=60)


def refusing(attempt):
    return Delivered(200) if attempt.late else Failed(Reason.REJECTED, status=400)


def some_events(count, first=0):
    return [event(n, call=f"default:{n}") for n in range(first, first + count)]


async def test_what_is_refused_is_told_in_words(rig):
    """That it is full, that nothing was done, and where to look who holds it; it is not away."""
    await rig.full()
    with pytest.raises(EngineFull) as caught:
        await check_format(rig.engine)
    text, code = failure.of(caught.value)
    assert text.startswith("gateway: the engine's memory is full and takes nothing more")
    assert "is not done: /readyz" in text
    assert code == 1
    assert await rig.redis.dbsize() == 0


async def test_dead_letters_are_revived_and_purged(rig):
    """Reviving takes no more room than the letters have, and delivering them makes some."""
    recorder = Recorder(refusing)
    async with delivering(rig.url, served(recorder, retry=QUICK)):
        await rig.publisher.publish(*some_events(100))
        await settled(rig.url)
        await rig.full()
        letters = DeadLetters(rig.engine)
        some = [place.id for place in await letters.places("sub", limit=60)]
        assert await letters.revive("sub", some) == 60
        await settled(rig.url)
        assert len(recorder.delivered) == 60
        assert await letters.purge("sub") == 40
        account = (await assert_balanced(rig.url))["sub"]
    assert (account["delivered"], account["buried"], account["discarded"]) == (60, 0, 40)


async def test_history_and_dead_letters_expire(rig):
    """The janitor's sweep needs no room."""
    async with delivering(rig.url, served(Recorder(refusing), retry=QUICK)):
        at_ms = now_ms() - 10_000
        await rig.publisher.publish(*some_events(100), at_ms=at_ms)
        await rig.publisher.publish(*some_events(100, first=100))
        await settled(rig.url)
    await rig.full()
    assert await DeadLetters(rig.engine).count("sub") == 200
    options = RetentionOptions(max_bytes=0, dead_letters_max_bytes=0)
    await Janitor(rig.engine, options).sweep()
    assert await DeadLetters(rig.engine).count("sub") == 0
    left = [await rig.redis.xlen(keys.events(shard)) for shard in range(keys.SHARDS)]
    assert sum(left) == 100  # all of one moment: of the last entry
    await assert_balanced(rig.url)


async def test_whoever_is_new_can_join(rig):
    """A subscriber that a full engine does not know is made known: it keeps nobody waiting."""
    assert await check_format(rig.engine)
    await rig.publisher.publish(*some_events(100))
    recorder = Recorder()
    await rig.full()
    async with delivering(rig.url, served(recorder, start="earliest")):
        await settled(rig.url)
    assert len(recorder.delivered) == 100
    assert list(await Subscriptions(rig.engine).read()) == ["sub"]


async def test_a_journal_begins_on_a_full_engine(rig, tmp_path):
    """Also where it has something to put right there, for whoever delivers waits for it."""
    async with Publishing(rig, tmp_path / "j") as one:
        one.append(*(accepted(n, call_cid=f"default:c{n}") for n in range(100)))
        await one.published()
        name = one.journal.id
    for shard in range(keys.SHARDS):  # as after a failover that has lost the newest
        await rig.redis.hset(keys.shard_state(shard), f"pos:{name}", 0)
    epochs = [await rig.redis.hget(keys.shard_state(n), "epoch") for n in range(keys.SHARDS)]
    await rig.full()
    one = Publishing(rig, tmp_path / "j")
    async with asyncio.timeout(60):
        await one.publisher.own()
    now = [await rig.redis.hget(keys.shard_state(n), "epoch") for n in range(keys.SHARDS)]
    assert not set(now) & set(epochs)
    await end([asyncio.create_task(one.publisher.run())])
    one.journal.close()


async def test_a_journal_takes_a_new_name_on_a_full_engine(rig, tmp_path):
    """A copy of a data_dir gets to work, and what it shares is counted, so that it adds up."""
    async with Publishing(rig, tmp_path / "j") as one:
        one.append(*(accepted(n, call_cid=f"default:c{n}") for n in range(100)))
        await one.published()
        name = one.journal.id
    for shard in range(keys.SHARDS):
        await rig.redis.hset(keys.shard_state(shard), f"owner:{name}", "of the other copy")
    await rig.full()
    one = Publishing(rig, tmp_path / "j")
    async with asyncio.timeout(60):
        await one.publisher.own()
    assert one.journal.id != name
    assert await rig.redis.hget(keys.shard_state(0), f"before:{one.journal.id}") is not None
    await end([asyncio.create_task(one.publisher.run())])
    one.journal.close()


async def test_digests_that_have_had_their_time_go(rig, tmp_path):
    """While publishing waits for room too: they may be what fills the engine."""
    async with Publishing(rig, tmp_path / "j") as one:
        one.append(*(accepted(n, call_cid=f"default:c{n}") for n in range(200)))
        await one.published()
    length = int(WINDOW_S * 1000) // 2
    old = now_ms() // length - 10
    for shard in range(keys.SHARDS):
        await rig.redis.sadd(keys.seen(shard, length, old), b"x" * 16)
        await rig.redis.hset(keys.shard_state(shard), f"low:{length}", old)
    await rig.full()
    async with Publishing(rig, tmp_path / "j") as one:
        one.append(accepted(1000))

        async def gone():
            return not await rig.redis.keys(f"gw:*:seen:{length}:{old}")

        await eventually(lambda: one.publisher.is_full)
        assert one.publisher.waiting == 1
        await eventually(gone)
        assert one.publisher.waiting == 1
        seen = [await rig.redis.scard(key) for key in await rig.redis.keys("gw:*:seen:*")]
        assert sum(seen) == 200  # within the window none goes
        await rig.full(False)
        await one.published()


async def test_a_full_engine_that_nothing_waits_for_is_up(rig, tmp_path):
    """Nothing is told of it, and nothing is called away, before something has to wait."""
    async with Publishing(rig, tmp_path / "j") as one:
        one.append(*(accepted(n) for n in range(10)))
        await one.published()
        await rig.full()
        before = [await alive(rig, one.journal.id)]

        async def checked():
            return await alive(rig, one.journal.id) > before[0] and one.publisher.is_up

        for _ in range(2):
            await eventually(checked)
            before[0] = await alive(rig, one.journal.id)
        assert not one.publisher.is_full


async def alive(rig, name):
    return int(await rig.redis.hget(keys.shard_state(0), f"alive:{name}"))


async def test_a_full_engine_can_be_moved_from(rig, engine_url):
    """To a larger one; all of it goes along."""
    assert await check_format(rig.engine)
    async with delivering(rig.url, served(Recorder(), start="earliest")):
        await rig.publisher.publish(*some_events(100))
        await settled(rig.url)
    await rig.full()
    target = Engine(engine_url)
    moved = await move(rig.engine, target, lambda _: None)
    await target.close()
    assert moved.holdings == (0, 0, 0)
    account = (await assert_balanced(engine_url))["sub"]
    assert account["delivered"] == 100
