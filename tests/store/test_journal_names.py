"""Whose a journal is: two hands on one name, a disk that lost its end, names that leave."""

import asyncio
import os
import shutil
from contextlib import asynccontextmanager

import pytest
import redis.asyncio as aioredis
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events import event
from support.eventually import eventually

from gateway.clock import now_ms
from gateway.engine.access import EngineAccess
from gateway.engine.link import Link
from gateway.engine.resp import pack
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.event import read_meta
from gateway.journal.disk import Disk
from gateway.journal.journal import Journal
from gateway.journal.segment import HEADER_BYTES
from gateway.metrics import Metrics
from gateway.options import JournalOptions
from gateway.store import keys
from gateway.store.publishing.names import LEAVES_AFTER_MS, new_name
from gateway.store.publishing.publisher import Publisher
from gateway.store.publishing.shard_state import read_state
from gateway.tasks import end

HOUR_S = 3600.0
_ALL = range(keys.SHARDS)


class Hand:
    """A journal, and who publishes it."""

    def __init__(self, folder, url, disk=None, window_s=HOUR_S):
        self.metrics = Metrics()
        self.journal = Journal(
            folder, JournalOptions(segment_bytes=1 << 16), self.metrics, disk=disk
        )
        self.publisher = Publisher(url, self.journal, self.metrics, window_s=window_s)
        self.task = None

    def append(self, *events):
        self.journal.append(events)
        self.publisher.wake()

    def publish(self):
        self.task = asyncio.create_task(self.publisher.run())

    async def published(self):
        await eventually(
            lambda: self.publisher.is_up and self.publisher.cursor == self.journal.end,
            within_s=60,
        )

    async def close(self):
        if self.task is not None:
            await end([self.task])
            self.task = None
        await self.publisher._links.close()
        self.journal.close()


@asynccontextmanager
async def hand(folder, url, **more):
    """One that does not publish before it is told to."""
    one = Hand(folder, url, **more)
    try:
        yield one
    finally:
        await one.close()


@asynccontextmanager
async def at_work(folder, url, **more):
    async with hand(folder, url, **more) as one:
        one.publish()
        yield one


def some(first, count, **more):
    return [event(n, call_cid=f"default:c{n % 20}", **more) for n in range(first, first + count)]


async def published(url):
    """All bodies of all shards, and what the shards count together."""
    bodies, counted = [], 0
    async with aioredis.Redis.from_url(url) as redis:
        for shard in _ALL:
            bodies += [fields[b"b"] for _, fields in await redis.xrange(keys.events(shard))]
            counted += int(await redis.hget(keys.shard_state(shard), "published") or 0)
    assert counted == len(bodies)
    return bodies


async def fields_of(url, kind):
    """What stands behind `kind:` in the names of the first shard's fields."""
    async with aioredis.Redis.from_url(url) as redis:
        state = await redis.hgetall(keys.shard_state(0))
    return {name.decode().partition(":")[2] for name in state if name.startswith(kind + b":")}


async def assert_adds_up(url, *hands):
    """What each journal has written is in Redis under its name, or is accounted for."""
    async with aioredis.Redis.from_url(url) as redis:
        states = [await redis.hgetall(keys.shard_state(shard)) for shard in _ALL]
    for one in hands:
        sums = dict.fromkeys(("count", "damaged", "outlived", "forgotten"), 0)
        for state in states:
            for kind in sums:
                sums[kind] += int(state.get(f"{kind}:{one.journal.id}".encode(), 0))
        written = one.journal.next_number - 1
        lost = sums["damaged"] + sums["forgotten"] - sums["outlived"]
        assert written - lost == sums["count"], (sums, written)


async def test_a_copy_takes_a_name_of_its_own(engine_url, tmp_path):
    """A journal that was copied after a start, and a gateway on either: each event is published
    once, whoever took it; the copy has a new name, and the original keeps its own.
    """
    async with at_work(tmp_path / "a", engine_url) as one:
        one.append(*some(0, 50))
        await one.published()
        name = one.journal.id
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with at_work(tmp_path / "a", engine_url) as one:
        await one.published()
        async with at_work(tmp_path / "b", engine_url) as two:
            for n in range(100, 200, 10):
                one.append(*some(n, 10))
                two.append(*some(n + 1000, 10))
            await one.published()
            await two.published()
            assert one.journal.id == name
            assert two.journal.id != name
            assert one.metrics.renamed.total() == 0
            assert two.metrics.duplicates.total() == 0  # not from the start of its files
            await assert_adds_up(engine_url, one, two)
    wanted = [*some(0, 50), *some(100, 100), *some(1100, 100)]
    assert sorted(await published(engine_url)) == sorted(each.body for each in wanted)


@pytest.mark.parametrize("has_traffic", [False, True])
async def test_a_copy_that_was_made_while_the_original_ran(engine_url, tmp_path, has_traffic):
    """One of the two goes on under a new name within a checkpoint, and neither loses anything."""
    async with at_work(tmp_path / "a", engine_url) as one:
        one.append(*some(0, 50))
        await one.published()
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        name = one.journal.id
        if has_traffic:
            one.append(*some(50, 50))
            await one.published()
        async with at_work(tmp_path / "b", engine_url) as two:
            await two.published()
            await eventually(lambda: one.journal.id != two.journal.id, within_s=30)
            # Who has gone on since has the name; else who started last.
            assert (one if has_traffic else two).journal.id == name
            one.append(*some(100, 50))
            two.append(*some(200, 50))
            await one.published()
            await two.published()
            await assert_adds_up(engine_url, one, two)
            assert one.metrics.duplicates.total() + two.metrics.duplicates.total() == 0
    wanted = [*some(0, 100 if has_traffic else 50), *some(100, 50), *some(200, 50)]
    assert sorted(await published(engine_url)) == sorted(each.body for each in wanted)


async def test_a_backlog_that_both_have(engine_url, tmp_path):
    """What waited in the journal when it was copied is published once, whoever is first; what
    either took since as well.
    """
    async with at_work(tmp_path / "a", engine_url) as one:
        one.append(*some(0, 20))
        await one.published()
    async with hand(tmp_path / "a", engine_url) as one:
        one.append(*some(20, 30))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with (
        hand(tmp_path / "a", engine_url) as one,
        hand(tmp_path / "b", engine_url) as two,
    ):
        one.append(*some(100, 30))
        two.append(*some(200, 30))
        for each in (two, one):
            each.publish()
            await each.published()
        await assert_adds_up(engine_url, one, two)
    wanted = [*some(0, 50), *some(100, 30), *some(200, 30)]
    assert sorted(await published(engine_url)) == sorted(each.body for each in wanted)


async def test_what_is_older_than_duplicates_are_known_is_marked(engine_url, tmp_path):
    """A copy that comes long after: what it may publish a second time says so, and is counted."""
    long_ago = now_ms() - 10 * 3600 * 1000
    async with hand(tmp_path / "a", engine_url) as one:
        one.append(*some(0, 20, accepted_ms=long_ago))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with at_work(tmp_path / "a", engine_url, window_s=60) as one:
        one.append(event(500))
        await one.published()
        await eventually(lambda: _is_forgotten(engine_url, long_ago))
        async with at_work(tmp_path / "b", engine_url, window_s=60) as two:
            two.append(event(501))
            await two.published()
            assert two.metrics.again.total() == 20
            assert one.metrics.again.total() == 0
            await assert_adds_up(engine_url, one, two)
    assert len(await published(engine_url)) == 42
    marks = []
    async with aioredis.Redis.from_url(engine_url) as redis:
        for shard in _ALL:
            entries = await redis.xrange(keys.events(shard))
            marks += [read_meta(fields[b"m"]).again for _, fields in entries]
    assert sum(marks) == 20


async def _is_forgotten(url, accepted_ms):
    async with aioredis.Redis.from_url(url) as redis:
        names = await redis.keys("gw:*:seen:*")
    return not any(int(name.rpartition(b":")[2]) * 30_000 <= accepted_ms for name in names)


@pytest.mark.parametrize("starts", [1, 2, 3])
@pytest.mark.parametrize("cut", [1, 300, 5000])
async def test_a_disk_that_lost_its_end_and_any_number_of_starts(engine_url, tmp_path, starts, cut):
    """Power fails; the journal is opened and appended to, and closed before Redis is reached, as
    often as may be: what was accepted in between is published once, and all of it adds up.
    """
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(0, 100))
        await one.published()
    last = max((tmp_path / "j").glob("*.journal"))
    os.truncate(last, last.stat().st_size - cut)
    wanted = some(0, 100)
    for start in range(starts):
        async with hand(tmp_path / "j", engine_url) as one:
            more = some(1000 * (start + 1), 40)
            one.append(*more)
            wanted += more
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(9000, 10))
        await one.published()
        await assert_adds_up(engine_url, one)
    wanted += some(9000, 10)
    assert sorted(await published(engine_url)) == sorted(each.body for each in wanted)


@pytest.mark.parametrize("shape", ["zeros", "torn end", "page"])
@pytest.mark.parametrize("had", [60, 100])
async def test_zeroed_pages(engine_url, tmp_path, shape, had):
    """After a power failure that leaves zeros, whatever Redis has of what they were: each event
    that is anywhere is published once, and the ledger counts what is true.
    """
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(0, had))
        await one.published()
    async with hand(tmp_path / "j", engine_url) as one:
        if had < 100:
            one.append(*some(had, 100 - had))
    path = max((tmp_path / "j").glob("*.journal"), key=lambda each: each.stat().st_size)
    size = path.stat().st_size
    begin, length = {
        "zeros": (size - 700, 700),
        "torn end": (size - 700, 8192),  # longer than it ever was
        "page": (max(100, size - 5000), 1000),
    }[shape]
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(b"\0" * length)
    for start in range(2):
        async with hand(tmp_path / "j", engine_url) as one:
            one.append(*some(1000 * (start + 1), 10))
    async with at_work(tmp_path / "j", engine_url) as one:
        await one.published()
        await assert_adds_up(engine_url, one)
    bodies = await published(engine_url)
    assert len(bodies) == len(set(bodies))
    assert set(bodies) >= {each.body for each in [*some(0, had), *some(1000, 10), *some(2000, 10)]}


@pytest.mark.parametrize("length", [1, 300])
async def test_zeros_where_all_shards_have_everything(engine_url, tmp_path, length):
    """Zeros that end where every shard is: what Redis alone has of them is counted as outlived."""
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(0, 60))
        await one.published()
        await one.publisher._take_checkpoint()  # all shards are at the end now
    path = max((tmp_path / "j").glob("*.journal"), key=lambda each: each.stat().st_size)
    with path.open("r+b") as file:
        file.seek(-length, os.SEEK_END)
        file.write(b"\0" * length)
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(100, 10))
        await one.published()
        await assert_adds_up(engine_url, one)
    bodies = await published(engine_url)
    assert sorted(bodies) == sorted(each.body for each in [*some(0, 60), *some(100, 10)])


async def test_zeros_of_what_redis_never_had(engine_url, tmp_path):
    """Records that are zeroed before Redis was ever reached are lost to damage; nobody has forgotten
    them.
    """
    async with hand(tmp_path / "j", engine_url) as one:
        one.append(*some(0, 10))
    path = max((tmp_path / "j").glob("*.journal"))
    async with hand(tmp_path / "j", engine_url) as one:
        one.append(*some(10, 10))
    with path.open("r+b") as file:
        file.seek(HEADER_BYTES)
        file.write(b"\0" * (path.stat().st_size - HEADER_BYTES))
    async with at_work(tmp_path / "j", engine_url) as one:
        await one.published()
        await assert_adds_up(engine_url, one)
    assert not await fields_of(engine_url, b"forgotten")
    assert await fields_of(engine_url, b"damaged")
    assert sorted(await published(engine_url)) == sorted(each.body for each in some(10, 10))


ORDINARY = ["restart", "killed", "emptied", "lost token", "older copy", "version before"]


@pytest.mark.parametrize("what", ORDINARY)
async def test_ordinary_lives_keep_the_name(engine_url, tmp_path, what):
    """A restart, a crash, a Redis that was emptied, lost the token or is an older copy of itself, a
    folder of the version before: no new name, nothing twice.
    """
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(0, 40))
        await one.published()
        name = one.journal.id
        copy = await dump(engine_url)
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(40, 40))
        await one.published()
        if what == "killed":
            shutil.copytree(tmp_path / "j", tmp_path / "as it was")
    if what == "killed":
        shutil.rmtree(tmp_path / "j")
        shutil.move(tmp_path / "as it was", tmp_path / "j")
    async with aioredis.Redis.from_url(engine_url) as redis:
        if what == "emptied":
            await redis.flushall()
        elif what == "lost token":
            for shard in _ALL:
                await redis.hdel(keys.shard_state(shard), f"owner:{name}")
        elif what == "older copy":
            await restore(engine_url, copy)
        elif what == "version before":
            (tmp_path / "j" / "owner").unlink()
            for shard in _ALL:
                await redis.hdel(keys.shard_state(shard), f"owner:{name}")
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(80, 20))
        await one.published()
        assert one.journal.id == name
        assert one.metrics.duplicates.total() == 0
        await assert_adds_up(engine_url, one)
    assert sorted(await published(engine_url)) == sorted(each.body for each in some(0, 100))


async def test_a_redis_that_refuses_the_token(engine_url, tmp_path):
    """However long a Redis answers and takes nothing, as after a failover, the next start and this
    one are still the owner, under the same name.
    """
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(0, 20))
        await one.published()
        name = one.journal.id
    async with (
        aioredis.Redis.from_url(engine_url) as redis,
        hand(tmp_path / "j", engine_url) as one,
    ):
        await redis.execute_command("REPLICAOF", "127.0.0.1", 1)
        try:
            for _ in range(20):
                with pytest.raises((EngineUnavailable, EngineRefused)):
                    await one.publisher._ask_positions()
        finally:
            await redis.execute_command("REPLICAOF", "NO", "ONE")
        assert len(one.journal.ownership.tokens) == 2
        one.publish()
        await one.published()
        assert one.journal.id == name


async def test_a_copy_that_was_first_where_redis_had_lost_some(engine_url, tmp_path):
    """Redis comes back as an older copy of itself, and somebody goes on with an older copy of the
    folder before its owner is there again: what the owner alone has is published all the same.
    """
    async with at_work(tmp_path / "a", engine_url) as one:
        one.append(*some(0, 20))
        await one.published()
    copy = await dump(engine_url)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    async with at_work(tmp_path / "a", engine_url) as one:
        one.append(*some(20, 60))
        await one.published()
    await restore(engine_url, copy)
    for start in range(2):
        async with at_work(tmp_path / "b", engine_url) as two:
            two.append(*some(1000 + 100 * start, 100))
            await two.published()
    async with (
        at_work(tmp_path / "b", engine_url) as two,
        at_work(tmp_path / "a", engine_url) as one,
    ):
        one.append(*some(500, 10))
        await one.published()
        await two.published()
        assert one.journal.id != two.journal.id
        assert one.metrics.duplicates.total() == 0  # not from the start of its files
        await assert_adds_up(engine_url, one, two)
    wanted = [*some(0, 80), *some(500, 10), *some(1000, 200)]
    assert sorted(await published(engine_url)) == sorted(each.body for each in wanted)


async def restore(url, copy):
    async with aioredis.Redis.from_url(url) as redis:
        await redis.flushall()
        for key, value in copy.items():
            await redis.restore(key, 0, value)


@pytest.mark.parametrize("days", [-10, 10])
async def test_a_clock_that_is_wrong(engine_url, tmp_path, caplog, days):
    """One gateway whose clock is days off makes no name leave, its own or another's: nothing is
    said, and nothing is counted as lost.
    """
    async with at_work(tmp_path / "wrong", engine_url) as wrong:
        wrong.append(*some(1000, 20, accepted_ms=now_ms() + days * 86_400_000))
        await wrong.published()
    async with at_work(tmp_path / "right", engine_url) as right:
        for n in range(0, 30, 10):
            right.append(*some(n, 10))
            await right.published()
            await right.publisher._take_checkpoint()
        await assert_adds_up(engine_url, right, wrong)
        assert {right.journal.id, wrong.journal.id} <= await fields_of(engine_url, b"pos")
    assert not await fields_of(engine_url, b"forgotten")
    assert "WARNING" not in caplog.text
    assert len(await published(engine_url)) == 50


async def dump(url):
    async with aioredis.Redis.from_url(url) as redis:
        return {key: await redis.dump(key) for key in await redis.keys()}


class Dying(Disk):
    """A disk that takes so many more changes and then none, as after a kill -9."""

    def __init__(self, left):
        self.left = left

    def _step(self):
        self.left -= 1
        if self.left < 0:
            raise OSError(5, "killed")

    def create(self, path):
        if path.name.startswith("owner"):
            self._step()
        return super().create(path)

    def rename(self, path, to):
        if path.name.startswith("owner"):
            self._step()
        super().rename(path, to)


@pytest.mark.parametrize("reached", range(keys.SHARDS + 1))
@pytest.mark.parametrize("written", range(6))
async def test_a_crash_at_any_step_of_taking_the_token(engine_url, tmp_path, reached, written):
    """However far the last start came with its files and with the shards: the next one is the same
    owner, under the same name.
    """
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(0, 20))
        await one.published()
        name = one.journal.id
    async with hand(tmp_path / "j", engine_url, disk=Dying(written)) as one:
        link = Link(engine_url, timeout_s=5, access=EngineAccess())
        sent = []

        async def some_shards(commands, shards):
            """The shards that the script got to before we died."""
            if len(commands) == keys.SHARDS and b"EVALSHA" in commands[0]:
                sent.append(commands[:reached])
                await link.exchange(commands[:reached] or [pack("PING")])
                raise EngineUnavailable("killed")
            return await link.exchange(commands)

        one.publisher._shards._exchange = some_shards
        with pytest.raises(EngineUnavailable):
            await one.publisher._ask_positions()
        assert sent
        link.close()
    async with at_work(tmp_path / "j", engine_url) as one:
        one.append(*some(20, 20))
        await one.published()
        # A token that could not be written down and yet was given to Redis is nobody's.
        if written > 3 or not reached:
            assert one.journal.id == name
        assert one.metrics.duplicates.total() == 0
        await assert_adds_up(engine_url, one)
    assert sorted(await published(engine_url)) == sorted(each.body for each in some(0, 40))


async def test_names_that_nobody_has_any_more_leave(engine_url, tmp_path):
    """After a week without a checkpoint a name leaves Redis; its sums stay; should its journal come
    back, it goes on where it was, and nothing comes twice.
    """
    async with at_work(tmp_path / "old", engine_url) as one:
        one.append(*some(0, 30))
        await one.published()
        name = one.journal.id
    async with hand(tmp_path / "old", engine_url) as one:
        one.append(*some(30, 10))  # and it does not get to publish that
    long_ago = now_ms() - LEAVES_AFTER_MS - 1000
    async with aioredis.Redis.from_url(engine_url) as redis:
        for shard in _ALL:
            ages = {f"clock:{name}": long_ago, f"alive:{name}": long_ago}
            await redis.hset(keys.shard_state(shard), mapping=ages)
        async with at_work(tmp_path / "new", engine_url) as two:
            two.append(*some(100, 10))
            await two.published()
            await eventually(lambda: _has_left(redis, name))
        counts = [await redis.hget(keys.shard_state(shard), "count:gone") for shard in _ALL]
        assert sum(int(one or 0) for one in counts) == 30
        for shard in _ALL:  # a week later: what it had told is long ago
            await redis.hset(keys.shard_state(shard), "left", now_ms() + LEAVES_AFTER_MS + 60_000)
    async with at_work(tmp_path / "old", engine_url) as one:
        await one.published()
        assert one.journal.id == name
        assert one.metrics.duplicates.total() == 0
        assert one.metrics.rewinds.total() == 0
        await assert_adds_up(engine_url, one)
    assert not await fields_of(engine_url, b"forgotten")  # it is under `gone`, and not lost
    wanted = [*some(0, 40), *some(100, 10)]
    assert sorted(await published(engine_url)) == sorted(each.body for each in wanted)


async def _has_left(redis, name):
    for shard in _ALL:
        state = await redis.hgetall(keys.shard_state(shard))
        if any(name.encode() in field for field in state):
            return False
    return True


def states(positions, owner, name="n"):
    return [
        read_state([b"pos:n", b"%d" % one, b"owner:n", owner.encode()], name, 1000)
        for one in positions
    ]


_eight = st.lists(st.integers(0, 100), min_size=keys.SHARDS, max_size=keys.SHARDS)


@given(_eight, _eight, st.none() | st.integers(0, 100), st.booleans())
@settings(max_examples=300, deadline=None)
def test_where_a_new_name_begins(positions, known, opened, is_ours):
    """Never behind what is ours alone: what was appended since the first opening that Redis has
    not confirmed, and what no shard has told us to have.
    """
    found = new_name(states(positions, "t"), known, opened, ["t"] if is_ours else ["u"])
    if is_ours and (opened is None or max(positions) <= opened):
        assert found is None
        return
    for shard, begin in enumerate(found.begins):
        assert begin <= positions[shard]
        assert opened is None or begin <= opened
        assert is_ours or begin <= known[shard]
