"""`gateway run --only`: three processes, one Redis, and a part in each."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from support.engines import running_engine
from support.eventually import eventually
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.stream_client import stream_client


@asynccontextmanager
async def part(folder, name, url, receiver, **more):
    to = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
    config = {"redis": {"url": url}, "subscribers": [to], "feed": {"access": "any"}, **more}
    async with running_gateway(folder / name, args=("--only", name), **config) as gateway:
        yield gateway


async def test_three_parts_on_one_redis(tmp_path):
    """What ingest, with workers, takes is delivered by the second and watched at the third, whose own custom
    events reach subscribers and watchers too; the ledger adds up wherever it is asked.
    """
    async with running_engine(tmp_path / "e") as url, running_receiver() as receiver:
        async with (
            part(tmp_path, "delivery", url, receiver) as delivery,
            part(tmp_path, "ingest", url, receiver, server={"workers": 2}) as ingest,
            part(tmp_path, "feed", url, receiver) as feed,
        ):
            for one in (delivery, ingest, feed):
                await eventually(lambda one=one: one.ask("/readyz"), within_s=60)
            base = f"http://127.0.0.1:{feed.port}"
            async with stream_client(base, "anna") as anna:
                await anna.connect()
                await anna.ask("POST", "/video/call/default/client0-0", {}, watching=True)
                load = Load(ingest.port)
                await load.run(80, connections=4, calls=1)
                seen = 0
                while seen < 20:
                    seen += (await anna.event())["type"] == "custom"
                path = "/video/call/default/client0-0/event"
                said = await anna.ask("POST", path, {"custom": {"balloons": 3}})
                assert said.status == 201, said.body
                while (event := await anna.event())["type"] != "custom":
                    pass
                assert event["custom"] == {"balloons": 3}
            own = await eventually(lambda: _delivered(receiver, load), within_s=60)
            assert own >= 1
            for one in (delivery, ingest, feed):
                ledger = await one.settled()
                assert ledger["overall"]["accepted"] == len(receiver.bodies)


def _delivered(receiver, load):
    """How many came beside the webhooks, once all of those have."""
    bodies = set(receiver.bodies)
    return set(load.acked) <= bodies and len(bodies) - len(load.acked)


async def test_each_part_has_the_ports_of_its_part(tmp_path):
    """Delivery has no public port, ingest none of the feed's paths, and none claims readiness for
    what it does not do.
    """
    async with running_engine(tmp_path / "e") as url, running_receiver() as receiver:
        async with (
            part(tmp_path, "delivery", url, receiver) as delivery,
            part(tmp_path, "ingest", url, receiver) as ingest,
        ):
            assert await _status(ingest, "/readyz") == 200
            assert await _status(ingest, "/feed") == 404
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", delivery.port)


async def _status(gateway, path):
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{gateway.port}{path}") as response:
            return response.status


async def test_a_part_alone_needs_a_redis_of_its_own(tmp_path):
    """The embedded engine belongs to one gateway: one clear error."""
    with pytest.raises(AssertionError, match=r"set redis\.url to a server") as died:
        async with running_gateway(tmp_path / "g", args=("--only", "delivery")):
            pass
    assert "Traceback" not in str(died.value)
