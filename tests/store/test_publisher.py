"""The publisher between a real journal and a real Valkey, with everything that goes wrong."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio as aioredis
from support.engines import supervised
from support.events import event
from support.eventually import eventually

from gateway.clock import now_ms
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import JournalOptions
from gateway.store import keys
from gateway.store.publishing.publisher import Publisher
from gateway.tasks import end

HOUR_S = 3600.0


class Rig:
    """A journal, its publisher, and a look into Redis."""

    def __init__(
        self,
        folder: Path,
        url: str,
        window_s: float,
        linger_s: float = 0.001,
        timeout_s: float = 30,
    ):
        self.metrics = Metrics()
        self.journal = Journal(folder, JournalOptions(segment_bytes=1 << 20), self.metrics)
        self.publisher = Publisher(
            url,
            self.journal,
            self.metrics,
            window_s=window_s,
            timeout_s=timeout_s,
            linger_s=linger_s,
        )
        self.redis = aioredis.Redis.from_url(url)

    def append(self, *events):
        self.journal.append(events)
        self.publisher.wake()

    async def published(self):
        await eventually(lambda: self.publisher.cursor == self.journal.end, within_s=60)

    async def stored(self):
        """All (number, body) of every shard, in order."""
        entries = []
        for shard in range(keys.SHARDS):
            for _, fields in await self.redis.xrange(keys.events(shard)):
                entries.append((shard, int(fields[b"n"]), fields[b"b"]))
        return entries

    async def bodies(self):
        return sorted(body for _, _, body in await self.stored())

    async def assert_accounted(self):
        """accepted = published + duplicates + unfit, and numbers in a shard have no hole."""
        total = {"published": 0, "duplicates": 0, "unfit": 0}
        for shard in range(keys.SHARDS):
            state = await self.redis.hgetall(keys.shard_state(shard))
            for name in total:
                total[name] += int(state.get(name.encode(), 0))
            numbers = [n for at, n, _ in await self.stored() if at == shard]
            assert numbers == list(range(1, len(numbers) + 1))
        accepted = self.journal.next_number - 1
        for state in self.publisher._shards.states:
            accepted += state.elsewhere + state.outlived - state.damaged - state.forgotten
        assert sum(total.values()) == accepted
        return total


@asynccontextmanager
async def rig(folder, url, window_s=HOUR_S, linger_s=0.001, timeout_s=30):
    one = Rig(folder, url, window_s, linger_s, timeout_s)
    one.running = asyncio.create_task(one.publisher.run())
    try:
        yield one
    finally:
        await end([one.running])
        one.journal.close()
        await one.redis.aclose()


def calls(count):
    return [event(n, call_cid=f"default:c{n % 20}") for n in range(count)]


async def test_everything_once_in_order(engine_url, tmp_path):
    """Every event is in the streams once, those of a call in the order of the journal."""
    async with rig(tmp_path / "j", engine_url) as one:
        for at in range(0, 2000, 50):
            one.append(*calls(2000)[at : at + 50])
        await one.published()
        stored = await one.stored()
        assert len(stored) == 2000
        for n in range(20):
            of_call = [event(k, call_cid=f"default:c{n}").body for k in range(n, 2000, 20)]
            assert [body for _, _, body in stored if body in set(of_call)] == of_call
        assert (await one.assert_accounted())["published"] == 2000


async def test_what_comes_alone_does_not_wait_for_a_pause(engine_url, tmp_path):
    """An event that comes after a batch is published at once, however lately that was."""
    async with rig(tmp_path / "j", engine_url, linger_s=HOUR_S) as one:
        for each in calls(3):
            one.append(each)
            await one.published()
        assert (await one.assert_accounted())["published"] == 3


async def test_what_comes_during_a_batch_becomes_the_next_one(engine_url, tmp_path):
    """After a batch while which more has come there is a pause, and then one batch of all that."""
    async with rig(tmp_path / "j", engine_url, linger_s=0.2) as one:
        await eventually(lambda: one.publisher.is_up)
        loop, reached, (first, second, third) = asyncio.get_running_loop(), [], calls(3)

        def note():
            reached.append(one.publisher.cursor)
            if len(reached) == 1:
                loop.call_later(0.05, one.append, third)  # in the pause

        one.publisher.when("progress", note)
        one.append(first)
        ends = [one.journal.end]
        loop.call_soon(one.append, second)  # behind the publisher's turn
        await eventually(lambda: one.journal.next_number == 4)
        await one.published()
        ends.append(one.journal.end)
        assert list(dict.fromkeys(reached))[-2:] == ends
        assert (await one.assert_accounted())["published"] == 3


async def test_a_repeat_is_refused(engine_url, tmp_path):
    """The same body of the same app is one event; of another app it is another."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(event(1), event(1), event(1, app="other"), event(2))
        one.append(event(1))
        await one.published()
        assert len(await one.bodies()) == 3
        assert await one.assert_accounted() == {"published": 3, "duplicates": 2, "unfit": 0}


async def test_a_repeat_is_refused_after_a_restart(engine_url, tmp_path):
    """What was seen before a restart is a duplicate after it."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(100))
        await one.published()
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(100))
        await one.published()
        assert await one.assert_accounted() == {"published": 100, "duplicates": 100, "unfit": 0}


async def test_the_window_counts_acceptance_times(engine_url, tmp_path):
    """A repeat is judged by when it was accepted, however late both are published; beyond the
    window and its slice it is a new event.
    """
    long_ago = now_ms() - 10 * 3600 * 1000
    async with rig(tmp_path / "j", engine_url, window_s=60) as one:
        one.append(event(1, accepted_ms=long_ago))
        await one.published()
        one.append(event(1, accepted_ms=long_ago + 59_000))
        await one.published()
        assert len(await one.bodies()) == 1
        one.append(event(1, accepted_ms=long_ago + 200_000))
        await one.published()
        assert len(await one.bodies()) == 2


async def test_digests_are_forgotten_behind_the_window(engine_url, tmp_path):
    """Sets of digests do not pile up."""
    start = now_ms() - 1_000_000
    async with rig(tmp_path / "j", engine_url, window_s=2) as one:
        for n in range(50):
            one.append(event(n, accepted_ms=start + n * 1000))
        await one.published()
        await eventually(lambda: _no_digests(one))
        assert len(await one.bodies()) == 50


async def _no_digests(one):
    return not await one.redis.keys("gw:*:seen:*")


async def test_a_changed_window_forgets_nothing(engine_url, tmp_path):
    """What was seen under another window length is still a duplicate."""
    async with rig(tmp_path / "j", engine_url, window_s=3600) as one:
        one.append(*calls(50))
        await one.published()
    async with rig(tmp_path / "j", engine_url, window_s=600) as one:
        one.append(*calls(50))
        await one.published()
        assert (await one.assert_accounted())["duplicates"] == 50


async def test_another_journal_that_lags(engine_url, tmp_path):
    """A repeat in a journal that was published late is a duplicate of what came after it."""
    now = now_ms()
    async with rig(tmp_path / "a", engine_url, window_s=60) as one:
        one.append(event(1, accepted_ms=now + 40_000))
        await one.published()
    async with rig(tmp_path / "b", engine_url, window_s=60) as other:
        other.append(event(1, accepted_ms=now))
        await other.published()
        assert len(await other.bodies()) == 1
        assert await other.assert_accounted() == {"published": 1, "duplicates": 1, "unfit": 0}


async def test_what_is_no_event_is_buried(engine_url, tmp_path):
    """A signed body that is no event is kept in the gateway's dead letters, not in a stream."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(event(1), event(body=b"[]", unfit="not_an_event"), event(body=b"[]", unfit="x"))
        await one.published()
        assert await one.assert_accounted() == {"published": 1, "duplicates": 1, "unfit": 1}
        buried = 0
        for shard in range(keys.SHARDS):
            buried += await one.redis.hlen(keys.dead(shard, keys.GATEWAY))
        assert buried == 1


async def test_scripts_that_were_lost_are_loaded(engine_url, tmp_path):
    """SCRIPT FLUSH under way costs nothing."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(10))
        await one.published()
        await one.redis.script_flush()
        one.append(*calls(20)[10:])
        await one.published()
        assert len(await one.bodies()) == 20
        await one.assert_accounted()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_redis_killed_or_frozen_under_load(tmp_path, how):
    """Whatever happens to Redis while batches are under way, each event is there once."""
    async with supervised(tmp_path / "engine") as engine:
        async with rig(tmp_path / "j", engine.url, timeout_s=0.5) as one:
            events, gone = calls(6000), {None}
            for at in range(0, 6000, 20):
                one.append(*events[at : at + 20])
                if at in (1000, 3000):
                    await eventually(lambda: engine.pid not in gone)
                    pid = engine.pid
                    os.kill(pid, how)
                    if how == signal.SIGKILL:
                        gone.add(pid)  # its supervisor may not know yet
                    else:
                        await eventually(lambda: not one.publisher.is_up)
                        os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0)
            await one.published()
            assert await one.bodies() == sorted(one.body for one in events)
            await one.assert_accounted()


async def test_a_lost_tail_is_healed(tmp_path):
    """An engine that comes back without its newest entries gets them again from the journal,
    before anything newer, under a new epoch.
    """
    async with supervised(tmp_path / "engine") as engine:
        async with rig(tmp_path / "j", engine.url) as one:
            one.append(*calls(500))
            await one.published()
            epochs = await _epochs(one)
            aof = max(
                (tmp_path / "engine").rglob("*.incr.aof"), key=lambda path: path.stat().st_size
            )
            keep = aof.stat().st_size
            one.append(*calls(1000)[500:])
            await one.published()
            pid = await eventually(lambda: engine.pid)
            os.kill(pid, signal.SIGKILL)
            # Its supervisor runs in this very loop, and has had no turn since.
            os.truncate(aof, keep + 100)
            one.append(*calls(1100)[1000:])
            await eventually(lambda: one.metrics.rewinds.total() > 0)
            await one.published()
            assert await one.bodies() == sorted(e.body for e in calls(1100))
            await one.assert_accounted()
            assert await _epochs(one) != epochs


async def test_a_tail_that_was_lost_while_nobody_was_there(engine_url, tmp_path):
    """An older copy of the engine's data, and a publisher that starts anew: shards that went back
    have another epoch before anything is published, and are healed under it.
    """
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(20))
        await one.published()
        copy = {key: await one.redis.dump(key) for key in await one.redis.keys()}
        one.append(*calls(40)[20:])
        marks = one.journal.watermarks
        await eventually(lambda: marks.of(0) == one.journal.end)
        epochs = await _epochs(one)
        await end([one.running])
        await one.redis.flushall()
        for key, value in copy.items():
            await one.redis.restore(key, 0, value)
    async with rig(tmp_path / "j", engine_url) as one:
        await one.published()
        assert await one.bodies() == sorted(each.body for each in calls(40))
        await one.assert_accounted()
        new = await _epochs(one)
        assert not set(new) & set(epochs)
        assert one.metrics.rewinds.total() == keys.SHARDS


async def test_a_restart_keeps_the_epochs(engine_url, tmp_path):
    """Whatever the publisher's end: a Redis that has all it ever had is not doubted."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(20))
        await eventually(lambda: one.journal.watermarks.of(0) == one.journal.end)
        epochs = await _epochs(one)
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(40)[20:])
        await one.published()
        assert await _epochs(one) == epochs
        assert one.metrics.rewinds.total() == 0


@pytest.mark.parametrize("cut", [1, 300, 5000])
async def test_a_journal_that_lost_a_tail_which_redis_has(engine_url, tmp_path, cut):
    """Power failed before the newest records were on disk, after they were published: what is
    accepted next is published all the same, also what came before Redis was asked.
    """
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(100))
        await one.published()
    last = max((tmp_path / "j").glob("*.journal"))
    os.truncate(last, last.stat().st_size - cut)
    early = Rig(tmp_path / "j", engine_url, HOUR_S)
    early.append(*calls(130)[100:])
    task = asyncio.create_task(early.publisher.run())
    await eventually(lambda: _count(early, 130))
    early.append(*calls(140)[130:])
    await eventually(lambda: _count(early, 140))
    await early.published()
    assert (await early.assert_accounted())["published"] == 140
    await end([task])
    early.journal.close()
    await early.redis.aclose()
    last = max((tmp_path / "j").glob("*.journal"))
    os.truncate(last, max(44, last.stat().st_size - cut))  # and once more
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(150)[140:])
        await eventually(lambda: _count(one, 150))
        await one.assert_accounted()


async def test_a_flushed_engine_is_filled_again(engine_url, tmp_path):
    """FLUSHALL behind our back: all that the journal still keeps is published again."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(300))
        await one.published()
        await one.redis.flushall()
        one.append(*calls(310)[300:])
        await eventually(lambda: _count(one, 310))
        await one.assert_accounted()


async def _count(one, count):
    return len(await one.stored()) == count


async def _epochs(one):
    return [await one.redis.hget(keys.shard_state(s), "epoch") for s in range(keys.SHARDS)]


async def test_unjournaled_events_come_after_the_journal(engine_url, tmp_path):
    """What the disk refused is published behind the backlog, and told to be."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(10))
        await one.published()
        done = []
        one.publisher.publish_unjournaled([event(77), event(78)], done.append)
        await eventually(lambda: done == [True])
        assert len(await one.bodies()) == 12
        await one.assert_accounted()


async def test_a_full_engine_holds_the_journal(engine_url, tmp_path):
    """At the engine's limit publishing stops without a loss, and goes on when there is room."""
    async with rig(tmp_path / "j", engine_url) as one:
        one.append(*calls(10))
        await one.published()
        await one.redis.config_set("maxmemory", 1)
        try:
            one.append(*calls(20)[10:])
            await eventually(lambda: not one.publisher.is_up)
            assert one.publisher.waiting == 10
        finally:
            await one.redis.config_set("maxmemory", 0)
        await one.published()
        assert len(await one.bodies()) == 20
        await one.assert_accounted()
