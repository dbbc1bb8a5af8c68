"""Groups, leases and settling, call by call."""

import pytest
from redis.asyncio import Redis
from support.streams import event

from gateway.errors import EngineRefused, Fenced
from gateway.store import keys
from gateway.store.parcels import Parcel
from gateway.store.scripts import call, call_together, group_is_gone
from gateway.store.taking.consumer_group import Acquired, Group, HeldElsewhere
from gateway.store.taking.holders import Holder, Holders
from gateway.store.taking.parked import take_due, take_farthest
from gateway.store.taking.settling import Settling
from gateway.store.upkeep.ledger import read_account

SHARD = keys.shard_of(event(0).order_key)


@pytest.fixture
def group():
    return Group(SHARD, "sub")


async def acquired(engine, group, holder="me", ttl_ms=10_000):
    lease = await call(engine, group.acquire(Holder(holder), ttl_ms))
    assert isinstance(lease, Acquired)
    return lease.token


async def taken(engine, group, token, count=100, max_bytes=1 << 20):
    return await call(engine, group.take(token, count, max_bytes))


async def test_one_holder_at_a_time(engine, group):
    """While a lease runs nobody else gets it; its holder may take it anew, with a new token;
    given back, it is free at once."""
    await call(engine, group.join("now"))
    first = await acquired(engine, group, ttl_ms=60_000)
    refused = await call(engine, group.acquire(Holder("you"), 10_000))
    assert isinstance(refused, HeldElsewhere)
    assert 30 < refused.wait_s <= 60
    second = await acquired(engine, group)
    assert second > first
    with pytest.raises(Fenced):
        await call(engine, group.renew(first, 10_000))
    assert await call(engine, group.release(first)) == 0
    assert await call(engine, group.release(second)) == 1
    assert await acquired(engine, group, "you") > second


async def test_a_lease_by_another_clock_keeps_nobody_waiting(engine, group):
    """A dead holder's lease that ends in an hour, because the master that gave it had another
    clock, is nobody's; nor does such a holder count among those that are there.
    """
    await call(engine, group.join("now"))
    await acquired(engine, group, holder="dead", ttl_ms=3_600_000)
    await acquired(engine, group)
    await Holders(engine, Holder("dead"), 3_600, ["sub"]).present()
    assert await Holders(engine, Holder("me"), 10, ["sub"]).present() == {"me": {"sub"}}


async def test_every_call_of_an_old_token_is_fenced(engine, publisher, group):
    """A holder that lost its lease can neither read nor settle nor fetch what is due."""
    await call(engine, group.join("now"))
    await publisher.publish(event(1))
    old = await acquired(engine, group, ttl_ms=0)
    entries = (await taken(engine, group, old)).entries
    await acquired(engine, group, "you")
    batch = Settling(delivered=[entries[0].id])
    results = await call_together(
        engine,
        [
            group.take(old, 10, 1000),
            group.reclaim(old, b"0-0", 10),
            group.settle(old, batch),
            group.renew(old, 1000),
            take_due(SHARD, "sub", old, now_ms=0, hidden_until_ms=0, limit=1),
            take_farthest(SHARD, "sub", old, hidden_until_ms=0, limit=1),
        ],
    )
    assert all(isinstance(result, Fenced) for result in results)
    account = await read_account(engine, "sub")
    assert (account.in_flight, account.delivered, account.balance) == (1, 0, 0)


async def test_a_batch_settled_twice_counts_once(engine, publisher, group):
    """Sending a batch again after an unknown outcome changes nothing."""
    await call(engine, group.join("now"))
    await publisher.publish(*(event(n) for n in range(6)))
    token = await acquired(engine, group)
    ids = [entry.id for entry in (await taken(engine, group, token)).entries]
    parcel = Parcel(b"[]", b"{}")
    batch = Settling(
        delivered=ids[:2],
        unmatched=[ids[2]],
        parked=[(ids[3], 5, parcel), (ids[4], 9, parcel)],
        buried=[(ids[5], 7, parcel)],
    )
    for _ in range(2):
        await call(engine, group.settle(token, batch))
    late = Settling(late_delivered=[ids[3]], late_buried=[(ids[4], 7, parcel)])
    for _ in range(2):
        await call(engine, group.settle(token, late))
    account = await read_account(engine, "sub")
    assert (account.delivered, account.unmatched, account.buried) == (3, 1, 2)
    assert (account.waiting, account.balance) == (0, 0)


async def test_what_is_due_is_hidden_while_it_is_attempted(engine, publisher, group):
    """A parked delivery that was taken is not taken again before its time, and then it is."""
    await call(engine, group.join("now"))
    await publisher.publish(*(event(n) for n in range(3)))
    token = await acquired(engine, group)
    ids = [entry.id for entry in (await taken(engine, group, token)).entries]
    parcel = Parcel(b"[]", b"{}", attempts=3)
    parked = [(entry_id, 100 + n, parcel) for n, entry_id in enumerate(ids)]
    await call(engine, group.settle(token, Settling(parked=parked)))

    async def due(now_ms, limit=10):
        return await call(
            engine,
            take_due(SHARD, "sub", token, now_ms=now_ms, hidden_until_ms=now_ms + 50, limit=limit),
        )

    assert await due(99) == ([], 100)
    assert await due(101, limit=1) == ([(ids[0], parcel)], 101)
    assert await due(102) == ([(ids[1], parcel), (ids[2], parcel)], 151)
    assert (await due(150)).parcels == []
    assert (await due(152)).parcels == [(ids[0], parcel), (ids[1], parcel), (ids[2], parcel)]


async def test_a_take_keeps_within_its_bytes(engine, publisher, group):
    """However many entries are asked for, the answer stops near its bound in bytes."""
    await call(engine, group.join("now"))
    await publisher.publish(*(event(n, size=10_000) for n in range(200)))
    token = await acquired(engine, group)
    first = await taken(engine, group, token, 500, 100_000)
    assert first.more
    assert len(first.entries) == 32
    rest = await taken(engine, group, token, 500, 1 << 30)
    assert (rest.more, len(rest.entries)) == (False, 168)


async def test_standing_counts_what_waits(engine, publisher, group):
    """Renewing tells unread entries and bytes, pending and parked ones, exactly."""
    await call(engine, group.join("now"))
    sent = [event(n, size=n) for n in range(10)]
    await publisher.publish(*sent)
    token = await acquired(engine, group)
    entries = (await taken(engine, group, token, 4)).entries
    parked = [(entries[0].id, 77, Parcel(b"[]", b"{}"))]
    await call(engine, group.settle(token, Settling(parked=parked)))
    standing = await call(engine, group.renew(token, 1000))
    assert (standing.unread, standing.in_flight, standing.parked) == (6, 3, 1)
    assert standing.unread_bytes == sum(len(each.meta) + len(each.body) for each in sent[4:])
    assert standing.next_due_ms == 77


async def test_a_call_without_a_group_says_so(engine, group):
    """Acquiring where nobody has joined is told apart from every other failure."""
    with pytest.raises(EngineRefused) as refused:
        await call(engine, group.acquire(Holder("me"), 1000))
    assert group_is_gone(refused.value)


async def test_a_foreign_consumer_keeps_nothing(engine_url, engine, publisher, group):
    """What somebody else read in our group by hand is reclaimed with the rest."""
    await call(engine, group.join("now"))
    await publisher.publish(*(event(n) for n in range(5)))
    redis = Redis.from_url(engine_url)
    await redis.xreadgroup("sub", "stranger", {keys.events(SHARD): ">"}, count=3)
    token = await acquired(engine, group)
    reclaimed = await call(engine, group.reclaim(token, b"0-0", 32))
    await redis.aclose()
    assert len(reclaimed.entries) == 3
    assert reclaimed.cursor == b"0-0"
