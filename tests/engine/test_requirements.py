"""An engine that may throw events away, or is none of ours, is not used; the refusal says what to
change.
"""

import pytest
from support.engines import supervised
from support.eventually import eventually
from support.old_redis import old_redis
from support.ports import free_ports
from support.running_gateway import RunningGateway, running_gateway
from support.servers import MASTER, Server, data_lines

from gateway.engine.engine import Engine
from gateway.engine.requirements import check_engine
from gateway.errors import EngineRefused
from gateway.store import keys


async def test_only_an_engine_that_keeps_events_is_used(tmp_path):
    """Eviction is always refused; no append-only file unless it is allowed."""
    async with supervised(tmp_path) as own:
        engine = Engine(own.url)
        await check_engine(engine, allow_volatile=False)
        await engine.command("CONFIG", "SET", "appendonly", "no")
        with pytest.raises(EngineRefused, match="appendonly to yes, or write allow_volatile"):
            await check_engine(engine, allow_volatile=False)
        await check_engine(engine, allow_volatile=True)
        await engine.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(EngineRefused, match=r"allkeys-lru.*maxmemory-policy to noeviction"):
            await check_engine(engine, allow_volatile=True)
        await engine.close()


async def test_an_engine_that_may_not_be_asked_is_not_used(tmp_path):
    """Without INFO nobody knows whether it keeps events; that is told, with what to allow."""
    async with supervised(tmp_path) as own:
        engine = Engine(own.url)
        await engine.command("ACL", "SETUSER", "default", "-info")
        with pytest.raises(EngineRefused, match="allow INFO to the gateway's user there"):
            await check_engine(engine, allow_volatile=False)
        await engine.command("ACL", "SETUSER", "default", "+info")
        await check_engine(engine, allow_volatile=False)
        await engine.close()


# However it is run: alone, with workers, or one part of it.
RUN = {
    "alone": ((), {}),
    "workers": ((), {"server": {"workers": 2}}),
    "ingest": (("--only", "ingest"), {}),
    "delivery": (("--only", "delivery"), {}),
    "feed": (("--only", "feed"), {}),
}


async def said_at_its_end(folder, url, how="alone"):
    """What a gateway says that does not go on with the Redis at `url`."""
    args, config = RUN[how]
    gateway = RunningGateway(folder, {"redis": {"url": url}, **config}, args=args)
    gateway.launch()
    assert await gateway.ended(within_s=90) == 1
    assert "Traceback" not in gateway.log_text
    return gateway.log_text


@pytest.mark.parametrize("how", RUN)
async def test_a_gateway_does_not_start_on_an_engine_that_evicts(tmp_path, how):
    """The process ends with the reason, and has changed nothing there."""
    async with supervised(tmp_path / "engine") as own:
        engine = Engine(own.url)
        await engine.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        said = await said_at_its_end(tmp_path / "g", own.url, how)
        assert "set maxmemory-policy to noeviction" in said
        assert await engine.command("DBSIZE") == 0
        await engine.close()


@pytest.mark.parametrize("how", RUN)
async def test_a_gateway_does_not_start_on_another_format(tmp_path, how):
    """The process ends with both versions and a way out, and has changed nothing there."""
    async with supervised(tmp_path / "engine") as own:
        engine = Engine(own.url)
        await engine.command("SET", keys.FORMAT, '{"version":2,"shards":8}')
        said = await said_at_its_end(tmp_path / "g", own.url, how)
        assert "another format" in said
        assert "this gateway writes version 1 with 8 shards" in said
        assert await engine.command("DBSIZE") == 1
        await engine.close()


async def test_an_old_redis_is_refused(tmp_path):
    """With its version and what would be right; it is asked what it is, and nothing else."""
    async with old_redis() as old:
        said = await said_at_its_end(tmp_path / "g", old.url)
        assert "this Redis is too old (version 6.2.5): upgrade it to Redis 7" in said
        assert old.asked <= {"INFO", "CLIENT", "SELECT"}


async def test_what_is_no_server_of_its_own_wants_to_be_named_as_what_it_is(tmp_path):
    """One node of a Cluster, and a Sentinel, behind redis://: the scheme that would be right."""
    node, bus, watch, data = free_ports(4)
    servers = [
        Server(tmp_path / "n", node, data_lines("cluster-enabled yes", f"cluster-port {bus}")),
        Server(
            tmp_path / "s", watch, [f"sentinel monitor {MASTER} 127.0.0.1 {data} 1"], sentinel=True
        ),
    ]
    try:
        for one, scheme in zip(servers, ("redis+cluster://", "redis+sentinel://"), strict=True):
            await one.start()
            said = await said_at_its_end(tmp_path / f"g{one.port}", f"redis://127.0.0.1:{one.port}")
            assert f"write {scheme}" in said
    finally:
        for one in servers:
            await one.close()


async def test_an_engine_that_changes_its_mind_is_told_of(tmp_path):
    """Set to evict while a gateway runs: it goes on, and readiness says what is wrong."""
    async with supervised(tmp_path / "engine") as own:
        engine = Engine(own.url)
        async with running_gateway(tmp_path / "g", redis={"url": own.url}) as gateway:
            await eventually(lambda: gateway.ask("/readyz"), within_s=60)
            await engine.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            told = await eventually(lambda: gateway.ask("/readyz", status=503), within_s=60)
            assert "set maxmemory-policy to noeviction" in told["reasons"][0]
            await engine.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            await eventually(lambda: gateway.ask("/readyz"), within_s=60)
        await engine.close()
