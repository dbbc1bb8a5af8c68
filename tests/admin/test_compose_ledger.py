"""The whole ledger: the journal's side against the streams'."""

from itertools import cycle

import pytest
from redis.asyncio import Redis
from support.streams import Recorder, TestPublisher, delivering, event, served, settled

from gateway.admin.ledger import JournalSide, compose
from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable
from gateway.store import keys


@pytest.fixture
async def engine(engine_url):
    """Three events, delivered to `sub`."""
    publisher = TestPublisher(engine_url)
    async with delivering(engine_url, served(Recorder())):
        await publisher.publish(*(event(n) for n in range(3)))
        await settled(engine_url)
    await publisher.close()
    engine = Engine(engine_url)
    yield engine
    await engine.close()


def looks(*sides):
    """One look after the other, then over again: what journals have written, and what waits."""
    turns = cycle([JournalSide(*one) for one in side] for side in sides)

    async def look():
        return next(turns)

    return look


def here(written, waiting):
    return [("here", written, waiting)]


async def test_what_adds_up_is_balanced(engine):
    """Accepted is in the journal, published, a duplicate or no event."""
    ledger = await compose(engine, looks(here(5, 2)))
    assert ledger["balanced"] is True
    assert ledger["overall"] == {
        "accepted": 5,
        "in_journal": 2,
        "damaged": 0,
        "outlived": 0,
        "forgotten": 0,
        "published": 3,
        "duplicates": 0,
        "not_events": 0,
        "balance": 0,
    }
    assert ledger["subscribers"]["sub"]["delivered"] == 3


@pytest.mark.parametrize(("written", "balance"), [(6, 1), (4, -1)])
async def test_what_does_not_add_up_is_told(engine, written, balance):
    """Missing is positive, counted twice is negative."""
    ledger = await compose(engine, looks(here(written, 2)))
    assert (ledger["balanced"], ledger["overall"]["balance"]) == (False, balance)


async def test_an_answer_on_its_way_is_waited_for(engine):
    """Redis has published what the journal does not know yet: it looks again."""
    ledger = await compose(engine, looks(*[here(3, 1)] * 5, *[here(3, 0)] * 100))
    assert ledger["balanced"] is True


async def test_traffic_is_no_imbalance_but_a_loss_under_traffic_is(engine):
    """In motion, what had left the journal before must have arrived, and no more than came."""
    moved = await compose(engine, looks(here(3, 1), here(9, 5)))
    assert moved["balanced"] is True
    lost = await compose(engine, looks(here(9, 5), here(10, 5)))
    assert lost["overall"]["balance"] == 1
    twice = await compose(engine, looks(here(1, 0), here(2, 0)))
    assert twice["overall"]["balance"] == -1


async def test_what_waits_in_the_journal_is_told_before_the_accounts(engine):
    """An empty journal means that the accounts shown have everything, not that they will."""
    ledger = await compose(engine, looks(here(5, 2), here(5, 0)))
    assert ledger["overall"]["in_journal"] == 2


async def test_the_journals_of_several_workers_are_one_sum(engine):
    """What each has written and what of it waits is added up; a loss in one shows."""
    whole = await compose(engine, looks([("one", 3, 1), ("two", 1, 0)]))
    assert (whole["balanced"], whole["overall"]["accepted"]) == (True, 4)
    assert whole["overall"]["in_journal"] == 1
    lost = await compose(engine, looks([("one", 3, 1), ("two", 2, 0)]))
    assert (lost["balanced"], lost["overall"]["balance"]) == (False, 1)


async def test_a_journal_that_nobody_has_open_holds_what_the_streams_did_not_take(
    engine, engine_url
):
    """Its file tells what was written, the accounts in Redis what of it was taken; of journals
    elsewhere there are the accounts alone.
    """
    redis = Redis.from_url(engine_url)
    await redis.hset(keys.shard_state(0), mapping={"count:closed": 2, "count:elsewhere": 1})
    await redis.aclose()
    ledger = await compose(engine, looks([("closed", 7, None)]))
    assert ledger["balanced"] is True
    assert (ledger["overall"]["accepted"], ledger["overall"]["in_journal"]) == (8, 5)


async def test_a_subscriber_out_of_balance_is_enough(engine, engine_url):
    """The verdict covers every account."""
    redis = Redis.from_url(engine_url)
    await redis.hincrby(keys.subscription(0, "sub"), "delivered", 1)
    await redis.aclose()
    assert (await compose(engine, looks(here(3, 0))))["balanced"] is False


async def test_without_redis_there_is_no_ledger(tmp_path):
    """The caller is told to come again."""
    engine = Engine(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(EngineUnavailable):
        await compose(engine, looks(here(0, 0)))
    await engine.close()
