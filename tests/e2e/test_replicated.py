"""`ack: replicated` against a real master and real replicas."""

import asyncio
import shutil
import signal
import time
from contextlib import asynccontextmanager

import aiohttp
import pytest
from support.eventually import eventually
from support.load import Load
from support.running_gateway import running_gateway
from support.servers import cluster, replicated
from support.webhooks import distinct_event, signed_request

from gateway.engine.cluster import slot_of
from gateway.store import keys

pytestmark = pytest.mark.xdist_group("servers")


@asynccontextmanager
async def gateway_with(folder, servers, replicas):
    url = f"redis://127.0.0.1:{servers[0].port}"
    settings = {"redis": {"url": url}, "ingest": {"ack": {"replicated": replicas}}}
    async with running_gateway(folder, **settings) as gateway:
        yield gateway


async def bodies_on(server):
    """The bodies that one server has, of all shards."""
    entries = [await server.client.xrange(keys.events(shard)) for shard in range(keys.SHARDS)]
    return {fields[b"b"] for shard in entries for _, fields in shard}


async def test_a_200_says_that_the_replicas_have_it(tmp_path):
    """Gateway, its disk and the master are lost at once under load: every replica has every
    event that was acknowledged.
    """
    async with replicated(tmp_path / "r", 2) as servers:
        async with gateway_with(tmp_path / "g", servers, 2) as gateway:
            load = Load(gateway.port)
            sending = asyncio.create_task(load.run(1_000_000))
            await eventually(lambda: len(load.acked) > 1000, within_s=60)
            await gateway.kill()
            await servers[0].kill()
            load.stop = True
            await sending
            shutil.rmtree(gateway.data)
            assert set(load.statuses) <= {200, 503, 0}  # 503 of replicas that were slow
            for replica in servers[1:]:
                assert set(load.acked) <= await bodies_on(replica)


async def test_too_few_replicas_are_503_in_time(tmp_path):
    """With one of two replicas frozen a webhook, and its duplicate, is 503 with Retry-After after
    two seconds; once it is back they are 200, and the event is there once.
    """
    async with replicated(tmp_path / "r", 2) as servers:
        async with gateway_with(tmp_path / "g", servers, 2) as gateway:
            posts = await accepted(gateway, 1)
            servers[2].signal(signal.SIGSTOP)
            began = time.monotonic()
            assert await asyncio.gather(post(gateway, 2), post(gateway, 2)) == [(503, "1")] * 2
            assert 1.9 < time.monotonic() - began < 15
            began = time.monotonic()
            assert await post(gateway, 1) == (503, "1")
            assert 1.9 < time.monotonic() - began < 15
            assert await gateway.ask("/readyz") is None
            servers[2].signal(signal.SIGCONT)
            await eventually(lambda: is_well(gateway), within_s=60)
            posts += 3 + await accepted(gateway, 2)
            ledger = await gateway.settled()
            assert ledger["overall"]["published"] == 2
            assert ledger["overall"]["duplicates"] == posts - 2


async def is_well(gateway):
    return await gateway.ask("/readyz") is not None


@pytest.mark.hard
async def test_each_master_of_a_cluster_needs_its_own(tmp_path):
    """With one master's replica frozen its shards are 503 and the others' are not; all are 200
    once it is back.
    """
    async with cluster(tmp_path / "r") as redis:
        settings = {"redis": {"url": redis.url}, "ingest": {"ack": {"replicated": 1}}}
        calls = {}
        for n in range(64):
            shard = keys.shard_of(keys.call_key("demo-key", f"default:{n}"))
            calls[await redis.holder(slot_of(keys.events(shard)))] = f"default:{n}"
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            await eventually(lambda: is_well(gateway), within_s=60)
            alone, well, _ = (calls[master] for master in redis.masters)
            posts = await accepted(gateway, 1, alone)
            redis.replicas[0].signal(signal.SIGSTOP)
            posts += await accepted(gateway, 2, well)
            assert await post(gateway, 3, alone) == (503, "1")
            redis.replicas[0].signal(signal.SIGCONT)
            await eventually(lambda: is_well(gateway), within_s=60)
            posts += 1 + await accepted(gateway, 3, alone)
            ledger = await gateway.settled()
            assert ledger["overall"]["published"] == 3
            assert ledger["overall"]["duplicates"] == posts - 3


async def accepted(gateway, n, call="default:call-1"):
    """Post it until it is 200: replicas may be slow. Returns how often that was."""
    answers = []

    async def is_200():
        answers.append(await post(gateway, n, call))
        assert answers[-1] in {(200, None), (503, "1")}
        return answers[-1] == (200, None)

    await eventually(is_200, within_s=60)
    return len(answers)


async def post(gateway, n, call="default:call-1"):
    body = distinct_event(n, call)
    async with aiohttp.ClientSession() as session:
        async with session.post(gateway.url, data=body, headers=signed_request(body)) as answer:
            return answer.status, answer.headers.get("Retry-After")
