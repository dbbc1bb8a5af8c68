"""Pausing, forgetting, leaving the configuration, dead letters and full backlogs."""

import asyncio

from redis.asyncio import Redis
from support.eventually import eventually
from support.proxy import proxied
from support.streams import (
    QUICK,
    Recorder,
    account,
    assert_balanced,
    delivering,
    event,
    options,
    served,
    settled,
)

from gateway.clock import now_ms
from gateway.delivery.service import Everything, Served
from gateway.options import BacklogOptions, HttpOptions
from gateway.store import keys
from gateway.store.taking.dead_letters import DeadLetters
from gateway.store.taking.subscriptions import Subscriptions
from gateway.subscribers.outcome import Delivered, Failed, Reason


def sample(count, start=0):
    return [event(start + n, call=f"default:{n % 7}") for n in range(count)]


def rejected(attempt):
    return Failed(Reason.REJECTED, status=400, snippet="no")


async def test_a_paused_subscriber_is_given_nothing_until_resumed(engine_url, publisher, engine):
    """While paused nothing is attempted, and everything waits; resumed it all arrives."""
    recorder, subscriptions = Recorder(), Subscriptions(engine)
    other = served(Recorder(), name="other")
    async with delivering(engine_url, served(recorder), other, poll_s=0.1) as service:
        await subscriptions.pause("sub")
        await publisher.publish(*sample(10))  # may still arrive: pausing takes a poll
        worker, _ = service._workers["sub"]
        await eventually(lambda: worker._triage.paused)
        await eventually(lambda: not worker._attempts.running)
        before = len(recorder.attempts)
        await publisher.publish(*sample(50, start=5000))
        await settled(engine_url, "other")
        assert len(recorder.attempts) == before
        assert (await account(engine))["waiting"]["unread"] >= 50
        await subscriptions.resume("sub")
        await settled(engine_url)
    await assert_balanced(engine_url)


async def test_a_paused_subscriber_is_given_nothing_by_who_starts(
    engine_socket, engine_url, publisher, engine, tmp_path
):
    """Nothing is attempted before it is known who is paused, however long that takes."""
    recorder, other = Recorder(), Recorder()

    async def deliver():
        async with delivering(url, served(recorder), served(other, name="other"), timeout_s=0.5):
            await settled(engine_url, "other")

    async with proxied(engine_socket, tmp_path / "proxy") as proxy:
        url = f"unix://{tmp_path / 'proxy'}"
        await deliver()
        await Subscriptions(engine).pause("sub")
        await publisher.publish(*sample(10))
        proxy.holds = b"HGETALL\r\n$14\r\ngw:subscribers"
        delivery = asyncio.create_task(deliver())
        await eventually(lambda: proxy.held.count(proxy.holds) > 1)
        proxy.holds = None
        await delivery
    assert len(other.delivered) == 10
    assert not recorder.attempts
    assert (await assert_balanced(engine_url))["sub"]["waiting"]["unread"] == 10


async def test_gone_pauses_the_subscriber_when_it_is_told_to(engine_url, publisher, engine):
    """410 with `on_410: pause` pauses it for all, loses nothing, and resuming tries again."""
    gone = True
    recorder = Recorder(lambda _: Failed(Reason.GONE, status=410) if gone else Delivered(200))
    http = HttpOptions(url="http://localhost", on_410="pause")
    subscriptions = Subscriptions(engine)
    async with delivering(engine_url, served(recorder, http=http, concurrency=1), ttl_s=1.0):
        await publisher.publish(*sample(20))
        await eventually(lambda: is_state(subscriptions, "paused"))
        assert len(recorder.attempts) < 20
        await assert_balanced(engine_url)
        gone = False
        await subscriptions.resume("sub")
        one = await settled(engine_url)
    assert (one["delivered"], one["buried"]) == (20, 0)


async def is_state(subscriptions, state, name="sub"):
    return (await subscriptions.read())[name].state == state


async def test_a_subscriber_that_left_is_reported_and_forgotten_on_command(
    engine_url, publisher, engine, caplog
):
    """One that is no longer configured keeps its backlog until it is forgotten; then no key of
    it is left."""
    async with delivering(engine_url, served(Recorder(), name="old")):
        pass
    async with delivering(engine_url, served(Recorder())):
        await publisher.publish(*sample(30))
        await settled(engine_url)
        await eventually(lambda: "not configured any more" in caplog.text)
        assert (await account(engine, "old"))["waiting"]["unread"] == 30
        await assert_balanced(engine_url)
        await Subscriptions(engine).forget("old")
        await publisher.publish(*sample(30))
        await settled(engine_url)
    redis = Redis.from_url(engine_url)
    assert not [key async for key in redis.scan_iter("*:old")]
    for shard in range(keys.SHARDS):
        names = [group["name"] for group in await redis.xinfo_groups(keys.events(shard))]
        assert names == [b"sub"]
    await redis.aclose()
    assert list(await assert_balanced(engine_url)) == ["sub"]


async def test_a_forgotten_subscriber_that_is_configured_starts_anew(engine_url, publisher, engine):
    """Forgotten while it is served, it starts again like a new one: from now."""
    recorder = Recorder()
    async with delivering(engine_url, served(recorder), ttl_s=0.6):
        await publisher.publish(*sample(30))
        await settled(engine_url)
        await Subscriptions(engine).forget("sub")
        await eventually(lambda: knows(engine, "sub"))
        redis = Redis.from_url(engine_url)
        await eventually(lambda: joined_everywhere(redis))
        await redis.aclose()
        await publisher.publish(*sample(5, start=100))
        one = await settled(engine_url)
    assert one["delivered"] == one["published"] == 5
    assert len(recorder.bodies()) == 35


async def knows(engine, name):
    return name in await Subscriptions(engine).read()


async def joined_everywhere(redis):
    joined = [await redis.hexists(keys.subscription(n, "sub"), "start_seq") for n in range(8)]
    return all(joined)


async def test_dead_letters_are_revived_late_and_purged_for_good(engine_url, publisher, engine):
    """A revived letter is delivered, marked late, its attempts counted on; a purged one is
    discarded; the ledger adds up at every step."""
    healed = False
    recorder = Recorder(lambda _: Delivered(200) if healed else rejected(_))
    letters = DeadLetters(engine)
    async with delivering(engine_url, served(recorder), ttl_s=0.6):
        await publisher.publish(*sample(30))
        assert (await settled(engine_url))["buried"] == 30
        some = await letters.list("sub", limit=10)
        assert {letter.parcel.reason for letter in some} == {"rejected"}
        assert {letter.parcel.status for letter in some} == {400}
        assert {letter.parcel.snippet for letter in some} == {"no"}
        assert await letters.purge("sub", [letter.place.id for letter in some[:4]]) == 4
        assert await letters.get("sub", some[0].place.id) is None
        assert (await assert_balanced(engine_url))["sub"]["discarded"] == 4
        healed = True
        assert await letters.revive("sub", [some[5].place.id, "0:1-1"]) == 1
        assert await letters.revive("sub") == 25
        await assert_balanced(engine_url)
        one = await settled(engine_url)
    assert (one["delivered"], one["buried"], one["discarded"]) == (26, 0, 4)
    assert await letters.count("sub") == 0
    assert all(attempt.late and attempt.number == 2 for attempt in recorder.delivered)


async def test_dead_letters_are_listed_page_by_page(engine_url, publisher, engine):
    """The pages are the whole list, oldest first, whatever shares a millisecond."""
    letters = DeadLetters(engine)
    async with delivering(engine_url, served(Recorder(rejected))):
        await publisher.publish(*sample(100))
        await settled(engine_url)
    found, after = [], None
    while page := await letters.places("sub", limit=7, after=after):
        found += page
        after = page[-1]
    assert found == sorted(found)
    assert len(set(found)) == 100


async def test_beyond_its_bytes_the_oldest_of_a_backlog_are_buried(engine_url, publisher, engine):
    """A paused subscriber whose backlog is beyond its bound loses the oldest events to the dead
    letters; those that do not match are just unmatched."""

    class Odd:
        wants_all = False

        def wants(self, meta, body):
            return body[-2] % 2

    async with delivering(engine_url, served(Recorder(), Odd())):
        await Subscriptions(engine).pause("sub")
    sent = [event(n, call=f"default:{n % 50}", size=1000) for n in range(400)]
    size = sum(len(each.meta) + len(each.body) for each in sent)
    await publisher.publish(*sent)
    backlog = BacklogOptions(max_bytes=size // 4)
    recorder = Recorder()
    every = Everything()
    async with delivering(engine_url, served(recorder, every, backlog=backlog), ttl_s=2.0):
        await eventually(lambda: buried_at_least(engine, 290))
        await assert_balanced(engine_url)
        assert not recorder.attempts
        await Subscriptions(engine).resume("sub")
        one = await settled(engine_url)
    assert 290 <= one["buried"] <= 320
    letters = await DeadLetters(engine).list("sub", limit=1000)
    assert {letter.parcel.reason for letter in letters} == {"backlog_full"}
    buried = {letter.parcel.body for letter in letters}
    for call in range(50):  # of each call the oldest are buried, the newest are delivered
        bodies = [each.body for each in sent if each.call_cid == f"default:{call}"]
        kept = [body not in buried for body in bodies]
        assert kept == sorted(kept)


async def buried_at_least(engine, count):
    return (await account(engine))["buried"] >= count


async def test_beyond_its_age_a_backlog_is_buried(engine_url, publisher, engine):
    """What has been unread for too long while we served the subscriber is buried; unread from
    before we did is not."""

    def serving(max_age_s):
        backlog = BacklogOptions(max_age_s=max_age_s)
        return delivering(engine_url, served(Recorder(), backlog=backlog), ttl_s=2.0)

    async with delivering(engine_url, served(Recorder())):
        await Subscriptions(engine).pause("sub")
    await publisher.publish(*sample(40), at_ms=now_ms() - 3_600_000)
    async with serving(600):
        await renewals(engine, 2)
        assert (await account(engine))["buried"] == 0
    async with serving(0.5):
        await eventually(lambda: buried_at_least(engine, 40))
    async with serving(600):
        await publisher.publish(*sample(10))
        await Subscriptions(engine).resume("sub")
        one = await settled(engine_url)
    assert (one["buried"], one["delivered"]) == (40, 10)


async def renewals(engine, count):
    """Wait until every lease of the subscriber has been renewed so many times."""
    for _ in range(count):
        before = await expiries(engine)
        await eventually(lambda before=before: all_later(engine, before))


async def expiries(engine):
    names = [keys.subscription(shard, "sub") for shard in range(keys.SHARDS)]
    return [int(await engine.command("HGET", name, "expires_ms")) for name in names]


async def all_later(engine, before):
    return all(new > old for new, old in zip(await expiries(engine), before, strict=True))


async def test_parked_deliveries_count_in_the_backlog(engine_url, publisher, engine):
    """Parked deliveries beyond the bound are buried, those farthest from their turn first."""
    recorder = Recorder(lambda _: Failed(Reason.UNAUTHORIZED, status=401))
    retry = QUICK.__class__(**{**vars_of(QUICK), "slow_first_s": 600.0, "slow_max_s": 600.0})
    backlog = BacklogOptions(max_bytes=50_000)
    async with delivering(engine_url, served(recorder, retry=retry, backlog=backlog), ttl_s=2.0):
        await publisher.publish(*(event(n, call=f"default:{n}", size=1000) for n in range(200)))
        await eventually(lambda: buried_at_least(engine, 140))
        one = (await assert_balanced(engine_url))["sub"]
    assert 20 <= one["waiting"]["parked"] <= 60


def vars_of(options):
    return {name: getattr(options, name) for name in options.__slots__}


async def test_one_that_is_switched_off_keeps_its_backlog(engine_url, publisher, engine):
    """A configured subscriber that is switched off is attempted nothing and loses nothing."""
    recorder = Recorder()
    async with delivering(engine_url, served(recorder)):
        pass
    async with delivering(engine_url, Served(options(enabled=False), None, Everything())):
        await publisher.publish(*sample(30))
        assert (await account(engine))["waiting"]["unread"] == 30
    async with delivering(engine_url, served(recorder)):
        await settled(engine_url)
    assert len(recorder.bodies()) == 30
