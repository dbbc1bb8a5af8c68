"""A key at its new place is what it was."""

import pytest
from redis.asyncio import Redis
from support.engines import supervised
from support.streams import TestPublisher, event

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import call
from gateway.store.taking.consumer_group import Group
from gateway.store.taking.holders import Holder
from gateway.store.upkeep.copying import copy_key

SHARD = keys.shard_of(event(0).order_key)


@pytest.mark.parametrize("times", [1, 2])
async def test_what_was_read_and_not_settled_is_pending_there(engine_url, tmp_path, times):
    """Every one of it, by the same group, which goes on behind it; made again, it is the same."""
    publisher, source = TestPublisher(engine_url), Engine(engine_url)
    await publisher.publish(*(event(n) for n in range(2500)))
    group = Group(SHARD, "sub")
    await call(source, group.join("earliest"))
    token = (await call(source, group.acquire(Holder("me"), 10_000))).token
    await call(source, group.take(token, 2400, 1 << 30))
    async with supervised(tmp_path / "new") as new:
        target = Engine(new.url)
        for _ in range(times):
            await copy_key(source, target, keys.events(SHARD).encode())
        here, there = [await _group(url) for url in (engine_url, new.url)]
        assert here == there
        assert there[0] == 2400
        await target.close()
    await source.close()
    await publisher.close()


async def _group(url):
    """How many are pending, between which ids, and behind which the group goes on."""
    async with Redis.from_url(url) as redis:
        pending = await redis.xpending(keys.events(SHARD), "sub")
        (group,) = await redis.xinfo_groups(keys.events(SHARD))
    return pending["pending"], pending["min"], pending["max"], group["last-delivered-id"]
