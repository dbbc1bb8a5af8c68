"""The whole ledger: the journal's side against the streams'."""

import pytest
from support.streams import Recorder, TestPublisher, delivering, event, served, settled

from gateway.admin.ledger import compose
from gateway.errors import StreamUnavailable
from gateway.stream.connection import Engine


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


def side(accepted, in_journal, **more):
    return lambda: {"accepted": accepted, "in_journal": in_journal, **more}


async def test_what_adds_up_is_balanced(engine):
    """Accepted is in the journal, published, a duplicate or no event."""
    ledger = await compose(engine, side(5, 2, journal_bytes=99))
    assert ledger["balanced"] is True
    assert ledger["overall"] == {
        "accepted": 5, "in_journal": 2, "journal_bytes": 99, "published": 3, "duplicates": 0,
        "not_events": 0, "balance": 0,
    }  # fmt: skip
    assert ledger["subscribers"]["sub"]["delivered"] == 3


@pytest.mark.parametrize(("accepted", "balance"), [(6, 1), (4, -1)])
async def test_what_does_not_add_up_is_told(engine, accepted, balance):
    """Missing is positive, counted twice is negative."""
    ledger = await compose(engine, side(accepted, 2))
    assert (ledger["balanced"], ledger["overall"]["balance"]) == (False, balance)


async def test_an_answer_on_its_way_is_waited_for(engine):
    """Redis has published what the journal does not know yet: it looks again."""
    looks = iter([side(3, 1)] * 5 + [side(3, 0)] * 100)
    ledger = await compose(engine, lambda: next(looks)())
    assert ledger["balanced"] is True


async def test_traffic_is_no_imbalance_but_a_loss_under_traffic_is(engine):
    """In motion, what had left the journal before must have arrived, and no more than came."""

    def moving(before, after):
        looks = iter([before, after] * 100)
        return lambda: next(looks)()

    assert (await compose(engine, moving(side(3, 1), side(9, 5))))["balanced"] is True
    lost = await compose(engine, moving(side(9, 5), side(10, 5)))
    assert lost["overall"]["balance"] == 1
    twice = await compose(engine, moving(side(1, 0), side(2, 0)))
    assert twice["overall"]["balance"] == -1


async def test_what_waits_in_the_journal_is_told_before_the_accounts(engine):
    """An empty journal means that the accounts shown have everything, not that they will."""
    looks = iter([side(5, 2), side(5, 0)])
    ledger = await compose(engine, lambda: next(looks, side(5, 0))())
    assert ledger["overall"]["in_journal"] == 2


async def test_a_subscriber_out_of_balance_is_enough(engine, engine_url):
    """The verdict covers every account."""
    from redis.asyncio import Redis

    from gateway.stream import keys

    redis = Redis.from_url(engine_url)
    await redis.hincrby(keys.subscription(0, "sub"), "delivered", 1)
    await redis.aclose()
    assert (await compose(engine, side(3, 0)))["balanced"] is False


async def test_without_redis_there_is_no_ledger(tmp_path):
    """The caller is told to come again."""
    engine = Engine(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(StreamUnavailable):
        await compose(engine, side(0, 0))
    await engine.close()
