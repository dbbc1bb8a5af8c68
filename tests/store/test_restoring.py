"""Who is put back after a loss, from where, and who is not."""

import asyncio
import os

import msgspec
import pytest
from support.eventually import eventually
from support.streams import assert_balanced, event

from gateway.errors import EngineUnavailable
from gateway.store import keys
from gateway.store.parcels import Parcel
from gateway.store.restoring.known import KnownSubscribersFile
from gateway.store.restoring.new_groups import put_back_groups
from gateway.store.restoring.restorer import Restorer
from gateway.store.scripts import call
from gateway.store.taking.consumer_group import Group
from gateway.store.taking.holders import Holder
from gateway.store.taking.settling import Settling
from gateway.store.taking.subscriptions import Subscriptions
from gateway.store.upkeep.ledger import read_account

ALL = range(keys.SHARDS)


def sample(count, start=0):
    """Events of many calls, so that every shard has some."""
    return [event(start + n, call=f"default:{n}") for n in range(count)]


async def joined(engine, restorer, name, start="now"):
    """Have `name` start here as a worker would."""
    for shard in ALL:
        await call(engine, Group(shard, name).join(start))
    await restorer.register(name)


def parcel(entry):
    return Parcel(meta=entry.meta, body=entry.body, attempts=1, first_attempt_ms=1, reason="")


async def unread(engine, name="app"):
    account = await read_account(engine, name)
    assert account.balance == 0
    return account.unread


async def test_who_was_there_is_put_back_with_its_state(engine, redis, publisher, tmp_path):
    """After all was lost every name that was known has its groups again, and what was published
    meanwhile waits for it; one that was paused still is. A process that starts knows it too.
    """
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    for name in ("app", "still"):
        await joined(engine, restorer, name)
    await Subscriptions(engine).pause("still")
    await restorer.look()
    await redis.flushall()
    await publisher.publish(*sample(40))
    for one in (Restorer(engine, KnownSubscribersFile(tmp_path)), restorer):
        found = await one.look()
        assert {name: how.state for name, how in found.items()} == {
            "app": "active",
            "still": "paused",
        }
        assert await unread(engine) == await unread(engine, "still") == 40
    assert await redis.get(keys.FORMAT)


async def test_whoever_began_behind_what_was_published_is_set_back(
    engine, engine_url, redis, publisher, tmp_path
):
    """A group made since the loss by somebody who knew of none begins anew, with all of it; what
    it has read, settled and parked by then is repeated, and the ledger adds up. Once.
    """
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await joined(engine, restorer, "app")
    await redis.flushall()
    await publisher.publish(*sample(40))
    stranger = Restorer(engine)
    await joined(engine, stranger, "app")
    await publisher.publish(*sample(80, start=1000))
    taken = 0
    for shard in ALL:
        group = Group(shard, "app")
        lease = await call(engine, group.acquire(Holder("stranger"), 60_000))
        entries = (await call(engine, group.take(lease.token, 6, 1 << 20))).entries
        ids = [entry.id for entry in entries]
        parked = [(entry.id, 1, parcel(entry)) for entry in entries[2:3]]
        batch = Settling(delivered=ids[:2], parked=parked)
        await call(engine, group.settle(lease.token, batch))
        taken += len(ids)
    before = await read_account(engine, "app")
    assert before.before_start == 40
    assert before.balance == 0
    assert taken == before.delivered + before.parked + before.in_flight > 0
    for _ in range(2):
        await restorer.look()
        after = (await assert_balanced(engine_url))["app"]
        assert after["before_start"] == 0
        assert after["waiting"]["unread"] == after["published"] == 120
        assert after["repeats"] == before.delivered + before.parked
    for shard in ALL:  # whoever held the lease takes it anew, and begins at the first entry
        lease = await call(engine, Group(shard, "app").acquire(Holder("stranger"), 60_000))
        assert lease.taken == b"0-0"


async def test_what_nobody_can_read_any_more_is_missing_in_the_ledger(
    engine, redis, publisher, tmp_path
):
    """Entries that were published again, skipped, and trimmed before their subscriber was put back:
    the ledger does not add up by as many. Where none is left nothing is read again for nothing.
    """
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await joined(engine, restorer, "app")
    await redis.flushall()
    await publisher.publish(*sample(40))
    await joined(engine, Restorer(engine), "app")  # by somebody else, who begins behind them
    counts = [(await publisher.state(shard))[0] for shard in ALL]
    second = (await redis.xrange(keys.events(0), count=2))[1][0]
    await redis.xtrim(keys.events(0), minid=second, approximate=False)
    await redis.xtrim(keys.events(1), maxlen=0)
    await restorer.look()
    account = await read_account(engine, "app")
    assert account.published == 40
    assert account.balance == 1 + counts[1]
    assert account.unread == 40 - 1 - counts[1]


async def test_a_name_forgotten_on_command_stays_forgotten(engine, tmp_path):
    """Also to those who were not running then; what comes by its name is new."""
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await joined(engine, restorer, "app")
    await Subscriptions(engine).forget("app")
    for one in (restorer, Restorer(engine, KnownSubscribersFile(tmp_path))):
        assert await one.look() == {}

        async def start(one=one):
            return await one.start("app", "now")

        assert await eventually(start) == "now"
    assert KnownSubscribersFile(tmp_path).read().subscribers == {}


async def test_a_register_that_is_lost_alone_is_written_again(engine, redis, tmp_path):
    """In a Cluster it lies on one server: names whose groups are there are no forgotten ones."""
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await joined(engine, restorer, "app")
    for one in (restorer, Restorer(engine, KnownSubscribersFile(tmp_path))):
        await redis.delete(keys.SUBSCRIBERS)
        assert set(await one.look()) == {"app"}


async def test_shards_are_lost_one_by_one(engine, redis, publisher, tmp_path):
    """In a Cluster: on a shard that was emptied a subscriber begins with the first entry, on the
    others it goes on where it was.
    """
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await publisher.publish(*sample(40))
    await joined(engine, restorer, "app")
    lost = await redis.hget(keys.shard_state(3), "published")
    await redis.delete(*await redis.keys("gw:{3}:*"))
    again = [one for one in sample(80) if keys.shard_of(one.order_key) == 3]
    await publisher.publish(*again)
    await joined(engine, Restorer(engine), "app")
    await restorer.look()
    account = await read_account(engine, "app")
    assert account.before_start == 40 - int(lost)
    assert account.unread == len(again)


@pytest.mark.parametrize("sign", ["a failure", "the journal"])
async def test_a_name_in_a_tail_that_was_lost_is_not_forgotten(engine, redis, tmp_path, sign):
    """A name that is gone with its groups, when a server failed or lacks what it had of a journal:
    it is put back, and begins with what there is.
    """
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await restorer.look()
    await joined(engine, restorer, "app")
    await redis.hdel(keys.SUBSCRIBERS, "app")
    for shard in ALL:
        await redis.delete(keys.events(shard), keys.subscription(shard, "app"))
    if sign == "a failure":
        await fail_once(engine, redis)
    else:
        assert await restorer.look() == {}  # that there was a loss shows later
        await restorer.restore([3])
    assert set(await restorer.look()) == {"app"}
    for shard in ALL:
        assert await redis.xinfo_groups(keys.events(shard))


async def fail_once(engine, redis):
    """Cut a connection that somebody waits at."""
    waiting = asyncio.create_task(
        engine.blocking("BLPOP", "nothing", 60, key="nothing", timeout_s=90)
    )

    async def cut():
        blocked = [one["id"] for one in await redis.client_list() if one["cmd"] == "blpop"]
        return blocked and await redis.client_kill_filter(_id=blocked[0])

    await eventually(cut)
    with pytest.raises(EngineUnavailable):
        await waiting


@pytest.mark.parametrize("kept", [b"", b"{", b'{"lives":[],"seen_ms":"x"}', b"\xff\xfe", None])
async def test_where_nothing_is_remembered_the_journal_is_believed(
    engine, publisher, tmp_path, kept
):
    """A damaged file is none: where a journal says that there has been more, the subscribers of
    the configuration are those that were there.
    """
    if kept is not None:
        (tmp_path / "subscribers.known").write_bytes(kept)
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path), ["app"])
    await publisher.publish(*sample(40))
    await joined(engine, restorer, "app")
    assert (await read_account(engine, "app")).before_start == 40
    await restorer.restore([0, 1, 2])
    lost = sum([(await publisher.state(shard))[0] for shard in (0, 1, 2)])
    assert await unread(engine) == lost
    assert KnownSubscribersFile(tmp_path).read() is not None


async def test_an_engine_that_was_at_work_beside_ours_is_joined_as_it_is(
    engine, redis, publisher, tmp_path
):
    """Pointed at a Redis that others use, whose subscribers have our names, we set nobody back."""
    restorer = Restorer(engine, KnownSubscribersFile(tmp_path))
    await joined(engine, restorer, "app")
    await redis.flushall()
    await publisher.publish(*sample(40))
    for shard in ALL:
        await redis.hset(keys.shard_state(shard), "life", "1700000000000-other")
    await joined(engine, Restorer(engine), "app")
    await restorer.look()
    assert (await read_account(engine, "app")).before_start == 40


async def test_a_life_that_nobody_has_named_yet(engine, redis, publisher):
    """An installation older than its name began with its first entry; without that, long ago."""
    await publisher.publish(*sample(40), at_ms=1_700_000_000_000)
    await redis.xtrim(keys.events(5), maxlen=0)
    await Restorer(engine).look()
    lives = [(await redis.hget(keys.shard_state(one), "life")).split(b"-")[0] for one in ALL]
    assert lives[5] == b"0"
    assert set(lives[:5] + lives[6:]) == {b"1700000000000"}


async def test_a_pause_holds_against_whoever_started_first(engine, redis, tmp_path):
    """Somebody who knew nothing has started it meanwhile: it is paused again. Not when a command
    has said something else since.
    """
    restorer, subscriptions = (
        Restorer(engine, KnownSubscribersFile(tmp_path)),
        Subscriptions(engine),
    )
    for name in ("app", "resumed"):
        await joined(engine, restorer, name)
        await subscriptions.pause(name)
    await restorer.look()
    await redis.flushall()
    for name in ("app", "resumed"):
        await joined(engine, Restorer(engine), name)
    await subscriptions.resume("resumed")
    found = await restorer.look()
    assert {name: how.state for name, how in found.items()} == {
        "app": "paused",
        "resumed": "active",
    }


async def test_a_disk_that_refuses_is_told_once(engine, redis, tmp_path, caplog):
    """It costs nothing else; and that it is over is told as well."""
    folder = tmp_path / "data"
    restorer = Restorer(engine, KnownSubscribersFile(folder))
    for name in ("one", "two"):
        await joined(engine, restorer, name)
    await redis.flushall()
    assert set(await restorer.look()) == {"one", "two"}
    assert caplog.text.count("is not kept") == 1
    folder.mkdir()
    await joined(engine, restorer, "three")
    assert caplog.text.count("is kept again") <= 1
    assert set(KnownSubscribersFile(folder).read().subscribers) == {"one", "two", "three"}
    assert os.stat(folder / "subscribers.known").st_mode & 0o777 == 0o600


async def test_groups_are_put_back_once(engine, publisher):
    """What is there is left alone."""
    await publisher.publish(*sample(10))
    assert await put_back_groups(engine, ["app"], ALL) == (keys.SHARDS, 0)
    assert await put_back_groups(engine, ["app"], ALL) == (0, 0)


async def test_an_older_gateway_reads_what_is_written(engine, redis):
    """Its decoder knows state and since_ms, and takes whatever else there is."""
    await joined(engine, Restorer(engine), "app")

    class Older(msgspec.Struct):
        state: str
        since_ms: int

    found = msgspec.json.decode(await redis.hget(keys.SUBSCRIBERS, "app"), type=Older)
    assert found.state == "active"
