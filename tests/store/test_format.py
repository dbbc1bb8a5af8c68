"""The format is written once, and a foreign one is refused."""

import pytest

from gateway.engine.engine import Engine
from gateway.errors import EngineRefused
from gateway.store import keys
from gateway.store.format import check_format


async def test_the_format_is_written_once_and_checked_ever_after(engine_url):
    """The first gateway writes it, the next ones agree, another number of shards is refused
    with both numbers and a way out."""
    engine = Engine(engine_url)
    try:
        assert await check_format(engine)
        assert not await check_format(engine)
        await engine.command("SET", keys.FORMAT, '{"version":1,"shards":64}')
        with pytest.raises(EngineRefused, match=r'"shards":64.*with 8 shards.*point redis.url'):
            await check_format(engine)
    finally:
        await engine.close()
