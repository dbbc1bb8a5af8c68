"""Where a subscriber begins when several start it at once, or Redis has lost it."""

import asyncio
from contextlib import AsyncExitStack

from support.eventually import eventually
from support.streams import Recorder, assert_balanced, delivering, event, served, settled

from gateway.store import keys


def sample(count, start=0):
    return [event(start + n, call=f"default:{n}") for n in range(count)]


async def test_two_that_start_it_at_once_do_not_give_it_the_history(engine_url, publisher):
    """A new subscriber begins with what is published once it is there, however many gateways start
    with it: none takes it for one that had been there before the other.
    """
    await publisher.publish(*sample(200))
    recorders = [Recorder() for _ in range(4)]
    async with AsyncExitStack() as stack:
        await asyncio.gather(
            *(
                stack.enter_async_context(delivering(engine_url, served(one), ttl_s=0.6))
                for one in recorders
            )
        )
        fresh = sample(50, start=1000)
        await publisher.publish(*fresh)
        account = await settled(engine_url)
    bodies = [body for one in recorders for body in one.bodies()]
    assert sorted(bodies) == sorted(each.body for each in fresh)
    assert (account["before_start"], account["published"]) == (200, 50)


async def test_whoever_is_known_has_its_groups(engine_url, redis, publisher):
    """A name is in the register only when all its groups were made."""
    await publisher.publish(*sample(100))
    names = [f"sub{n}" for n in range(8)]
    seen = set()

    async def watch():
        while len(seen) < len(names):
            for name in await redis.hkeys(keys.SUBSCRIBERS):
                made = [
                    await redis.hexists(keys.subscription(shard, name.decode()), "start_seq")
                    for shard in range(keys.SHARDS)
                ]
                assert all(made)
                seen.add(name)

    watching = asyncio.create_task(watch())
    async with delivering(engine_url, *(served(Recorder(), name=name) for name in names)):
        await watching


async def test_all_subscribers_come_back_after_a_flush(engine_url, redis, publisher):
    """Not only the first that notices it: each gets all that is published since."""
    recorders = {name: Recorder() for name in ("one", "two", "three", "four")}
    all_served = (served(recorder, name=name) for name, recorder in recorders.items())
    async with delivering(engine_url, *all_served, ttl_s=0.6):
        await publisher.publish(*sample(20))
        for name in recorders:
            await settled(engine_url, name)
        await redis.flushall()
        await publisher.publish(*sample(30, start=5000))
        for recorder in recorders.values():
            await eventually(lambda recorder=recorder: len(set(recorder.bodies())) == 50)
        for name in recorders:
            await settled(engine_url, name)
    for account in (await assert_balanced(engine_url)).values():
        assert (account["before_start"], account["published"]) == (0, 30)
