"""Who delivers, among workers: each has its share, and whoever falls silent loses it."""

import os
import signal
from contextlib import AsyncExitStack

from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway

from gateway.store import keys


async def holders(redis):
    """Who holds each shard of `app`, nobody being an empty name."""
    return [
        await redis.hget(keys.subscription(shard, "app"), "holder") or b""
        for shard in range(keys.SHARDS)
    ]


async def test_a_worker_that_freezes_is_relieved_and_gets_its_share_back(tmp_path):
    """Two workers hold half of the shards each. One that is frozen is relieved of its half when its
    leases are over, and everything is delivered; woken, it gets its half again. Nothing is
    delivered twice, for nothing was under way.
    """
    async with AsyncExitStack() as stack, running_receiver() as receiver:
        to = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
        config = {"server": {"workers": 2}, "subscribers": [to]}
        async with running_gateway(tmp_path / "g", **config) as gateway:
            redis = await stack.enter_async_context(await gateway.redis())

            async def spread(*counts):
                found = await holders(redis)
                return sorted(found.count(one) for one in set(found) - {b""}) == list(counts)

            await eventually(lambda: spread(4, 4), within_s=60)
            before = set(await holders(redis))
            load = Load(gateway.port)
            frozen = gateway.workers()[0]
            await load.run(400, connections=16, calls=5)
            await gateway.settled()
            os.kill(frozen, signal.SIGSTOP)
            try:  # after 15 s it would be killed
                await load.run(400, connections=16, calls=5, first=400)
                await eventually(lambda: spread(8), within_s=60)
                await eventually(lambda: set(load.acked) <= set(receiver.bodies), within_s=60)
            finally:
                os.kill(frozen, signal.SIGCONT)
            await eventually(lambda: spread(4, 4), within_s=60)
            assert set(await holders(redis)) == before
            ledger = await gateway.settled()
            assert ledger["overall"]["published"] == 800
            assert len(receiver.bodies) == len(set(receiver.bodies))
