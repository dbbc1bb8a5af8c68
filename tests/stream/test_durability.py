"""An engine that may throw events away is not used, and the refusal says what to change."""

import pytest
from support.engines import supervised
from support.running_gateway import RunningGateway

from gateway.errors import StreamRefused
from gateway.stream.connection import Engine
from gateway.stream.durability import check_durability


async def test_only_an_engine_that_keeps_events_is_used(tmp_path):
    """Eviction is always refused; no append-only file unless it is allowed."""
    async with supervised(tmp_path) as own:
        engine = Engine(own.url)
        await check_durability(engine, allow_volatile=False)
        await engine.command("CONFIG", "SET", "appendonly", "no")
        with pytest.raises(StreamRefused, match="appendonly to yes, or write allow_volatile"):
            await check_durability(engine, allow_volatile=False)
        await check_durability(engine, allow_volatile=True)
        await engine.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        with pytest.raises(StreamRefused, match=r"allkeys-lru.*maxmemory-policy to noeviction"):
            await check_durability(engine, allow_volatile=True)
        await engine.close()


async def test_a_gateway_does_not_start_on_an_engine_that_evicts(tmp_path):
    """The process ends with the reason, and has changed nothing there."""
    async with supervised(tmp_path / "engine") as own:
        engine = Engine(own.url)
        await engine.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
        gateway = RunningGateway(tmp_path / "g", {"redis": {"url": own.url}})
        await gateway.start()
        assert await gateway.ended(within_s=10) != 0
        assert "set maxmemory-policy to noeviction" in gateway.log_text
        assert "Traceback" not in gateway.log_text
        assert await engine.command("DBSIZE") == 0
        await engine.close()
