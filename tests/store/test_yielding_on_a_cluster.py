"""Each node of a Cluster has a memory of its own, and so what gives way is what lies there."""

import asyncio

from support.events import event
from support.eventually import eventually
from support.servers import cluster

from gateway.engine.engine import Engine
from gateway.engine.info import fullest
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import MIB, JournalOptions, RetentionOptions
from gateway.store import keys
from gateway.store.publishing.publisher import Publisher
from gateway.store.upkeep.memory_report import largest_holders
from gateway.store.upkeep.yielding import BEGIN, Yielding
from gateway.tasks import end

BODY = b'{"type":"call.updated","n":%d,"custom":"%s"}'


async def test_the_node_that_is_full_yields_alone(tmp_path):
    """History of its shards goes, and nothing of the others; it is its holders that are told."""
    async with cluster(tmp_path / "c") as nodes:
        metrics, count = Metrics(), 4000
        journal = Journal(tmp_path / "j", JournalOptions(), metrics)
        publisher = Publisher(nodes.url, journal, metrics, window_s=3600.0, timeout_s=30)
        running = asyncio.create_task(publisher.run())
        for first in range(0, count, 100):  # entries go by the moment at which they came
            bodies = [BODY % (n, b"x" * 4000) for n in range(first, first + 100)]
            journal.append(
                [event(body=one, call_cid=f"default:{hash(one) % 997}") for one in bodies]
            )
            publisher.wake()
            await eventually(lambda: publisher.cursor == journal.end, within_s=60)
        full, engine = nodes.masters[1], Engine(nodes.url)
        used = (await full.client.info("memory"))["used_memory"]
        await full.client.config_set("maxmemory", int(used / 0.95))
        server = await fullest(engine, keys.EVENTS)
        assert 0 < len(server.places) < keys.SHARDS
        (told,) = (await largest_holders(engine, server.places)).split(", ")[:1]
        whole = (await largest_holders(engine)).split(", ")[0]
        assert 0 < mebibytes(told) < mebibytes(whole) <= 4000 * count / MIB + 2
        for _ in range(4):
            await Yielding(engine, RetentionOptions(), metrics).look()
        assert (await fullest(engine, keys.EVENTS)).memory.share <= BEGIN
        for shard in range(keys.SHARDS):
            trimmed = await engine.command("HGET", keys.shard_state(shard), "trimmed")
            assert bool(int(trimmed or 0)) == (shard in server.places)
        await end([running])
        journal.close()
        await engine.close()


def mebibytes(told):
    name, size, unit = told.rsplit(" ", 2)
    assert (name, unit) == ("history", "MiB")
    return int(size)
