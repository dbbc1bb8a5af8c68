"""A server that is still reading its data."""

import asyncio

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from support.servers import Server, free_ports

from gateway.errors import StreamUnavailable
from gateway.stream.connection import Engine
from gateway.stream.requirements import check_engine

_EVENTS = 20_000
_SLOW_TO_LOAD_US = 250  # for each command of its append-only file: five seconds


async def test_a_server_that_loads_is_waited_for(tmp_path):
    """It says meanwhile that it keeps no append-only file: that is no reason to do without it."""
    server = Server(tmp_path, free_ports(1)[0], ["appendonly yes", "save ''"])
    await server.start()
    engine = Engine(f"redis://127.0.0.1:{server.port}")
    try:
        async with server.client.pipeline(transaction=False) as pipe:
            for number in range(_EVENTS):
                pipe.set(number, "x")
            await pipe.execute()
        await server.kill()
        with (tmp_path / "server.conf").open("a") as config:
            config.write(f"key-load-delay {_SLOW_TO_LOAD_US}\n")
        starting = asyncio.create_task(server.start())
        said = await _until_it_is_accepted(engine, server.port)
        assert {"0", "1"} == said, "it was met while it loaded, too"
        await starting
        assert await server.client.dbsize() == _EVENTS
    finally:
        await engine.close()
        await server.close()


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
            except (StreamUnavailable, RedisError, OSError):
                await asyncio.sleep(0.01)
            else:
                await ask()
                return said
