"""A server that is still reading its data."""

import asyncio

import pytest
import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from support.eventually import eventually
from support.running_gateway import running_gateway
from support.servers import Server, free_ports

from gateway.engine.engine import Engine
from gateway.engine.requirements import check_engine
from gateway.errors import EngineUnavailable

_EVENTS = 20_000
_SLOW_TO_LOAD_US = 250  # for each command of its append-only file: five seconds


@pytest.fixture
async def slow_to_load(tmp_path):
    """A server that has ended; when it is started it loads for a while."""
    server = Server(tmp_path, free_ports(1)[0], ["appendonly yes", "save ''"])
    await server.start()
    async with server.client.pipeline(transaction=False) as pipe:
        for number in range(_EVENTS):
            pipe.set(number, "x")
        await pipe.execute()
    await server.kill()
    with (tmp_path / "server.conf").open("a") as config:
        config.write(f"key-load-delay {_SLOW_TO_LOAD_US}\n")
    yield server
    await server.close()


async def test_a_server_that_loads_is_waited_for(slow_to_load):
    """It says meanwhile that it keeps no append-only file: that is no reason to do without it."""
    engine = Engine(f"redis://127.0.0.1:{slow_to_load.port}")
    starting = asyncio.create_task(slow_to_load.start())
    try:
        said = await _until_it_is_accepted(engine, slow_to_load.port)
        assert {"0", "1"} == said, "it was met while it loaded, too"
    finally:
        await engine.close()
        await starting
    assert await slow_to_load.client.dbsize() == _EVENTS


@pytest.mark.parametrize("part", ["delivery", "ingest"])
async def test_readiness_tells_of_a_server_that_loads(slow_to_load, tmp_path, part):
    """Whether this process publishes or not, until the server can be used."""
    redis = {"url": f"redis://127.0.0.1:{slow_to_load.port}"}
    async with running_gateway(tmp_path / "g", args=("--only", part), redis=redis) as gateway:
        told = await eventually(lambda: gateway.ask("/readyz", status=503))
        starting = asyncio.create_task(slow_to_load.start())
        while "it is loading its data" not in str(told["reasons"]):
            told = await gateway.ask("/readyz", status=503)
            assert told is not None, "ready before it was said"
            await asyncio.sleep(0.01)
        await starting
        await eventually(lambda: gateway.ask("/readyz"))


async def _until_it_is_accepted(engine, port):
    """What it has said of its append-only file meanwhile, and once it was accepted."""
    said = set()
    impatient = aioredis.Redis(port=port, retry=Retry(NoBackoff(), 0))

    async def ask():
        said.add(str((await impatient.info("persistence"))["aof_enabled"]))

    async with asyncio.timeout(100), impatient:
        while True:
            try:
                await ask()
                await check_engine(engine, allow_volatile=False)
            except (EngineUnavailable, RedisError, OSError):
                await asyncio.sleep(0.01)
            else:
                await ask()
                return said
