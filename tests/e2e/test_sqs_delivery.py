"""A queue as a subscriber, through the real process: lanes, dead letters, an SQS that is away."""

import asyncio
from base64 import b64decode

import aiohttp
from support.eventually import eventually
from support.load import Load
from support.running_gateway import running_gateway
from support.webhooks import distinct_event, signed_request

FAST = {"total": "6s", "waits": ["50ms"], "slow_first": "1s", "slow_horizon": "1d"}


def to(queue, **more):
    return {"name": "q", "kind": "sqs", **queue.config, "retry": FAST, **more}


async def post(gateway, *bodies):
    async with aiohttp.ClientSession() as session:
        for body in bodies:
            headers = signed_request(body)
            async with session.post(gateway.url, data=body, headers=headers) as response:
                assert response.status == 200


def bodies_in(queue):
    return [b64decode(message["Body"]) for message in queue.drain()]


async def parked(gateway):
    """How many events wait in the slow lane."""
    ledger = await gateway.ledger() or {"subscribers": {}}
    account = ledger["subscribers"].get("q")
    return account and account["waiting"]["parked"]


async def test_thousands_arrive_in_batches(tmp_path, local_sqs):
    """Under load every event arrives once, and the ledger adds up."""
    queue = local_sqs.queue()
    async with running_gateway(tmp_path / "g", subscribers=[to(queue, concurrency=40)]) as gateway:
        load = Load(gateway.port)
        await load.run(1500)
        ledger = await gateway.settled()
        assert ledger["subscribers"]["q"]["delivered"] == 1500
        assert sorted(await asyncio.to_thread(bodies_in, queue)) == sorted(load.acked)


async def test_too_large_for_the_queue_is_buried_alone(tmp_path, local_sqs):
    """One event that SQS will never take goes to the dead letters; its neighbours arrive."""
    queue = local_sqs.queue(MaximumMessageSize=4096)
    bodies = [distinct_event(n, size_bytes=6000 if n == 3 else 0) for n in range(8)]
    async with running_gateway(tmp_path / "g", subscribers=[to(queue)]) as gateway:
        await post(gateway, *bodies)
        ledger = await gateway.settled()
        account = ledger["subscribers"]["q"]
        assert (account["delivered"], account["buried"]) == (7, 1)
        assert sorted(bodies_in(queue)) == sorted(bodies[:3] + bodies[4:])


async def test_an_sqs_that_is_frozen_gets_everything_later(tmp_path, local_sqs):
    """Attempts time out, events wait in the slow lane, and all arrive when SQS answers again."""
    queue = local_sqs.queue()
    bodies = [distinct_event(n) for n in range(30)]
    async with running_gateway(tmp_path / "g", subscribers=[to(queue, timeout="1s")]) as gateway:
        local_sqs.freeze()
        await post(gateway, *bodies)

        await eventually(lambda: parked(gateway), within_s=60)
        local_sqs.thaw()
        ledger = await gateway.settled()
        assert ledger["subscribers"]["q"]["delivered"] == 30
        assert set(bodies_in(queue)) == set(bodies)


async def test_a_queue_that_is_made_later(tmp_path, local_sqs):
    """A queue that is not there yet buries nothing: events wait for it."""
    made = local_sqs.queue()
    name = made.url.rpartition("/")[2] + "-later"
    made.config["queue_url"] = f"{made.url}-later"
    async with running_gateway(tmp_path / "g", subscribers=[to(made)]) as gateway:
        await post(gateway, distinct_event(1))
        await eventually(lambda: parked(gateway), within_s=60)
        later = local_sqs.queue(name=name)
        await gateway.settled()
        assert bodies_in(later) == [distinct_event(1)]
