"""Script calls in one round trip, on connections that come and go."""

import asyncio

import pytest
from support.proxy import proxied

from gateway.engine.access import EngineAccess
from gateway.engine.engine import Engine
from gateway.engine.pool import LinkPool
from gateway.engine.resp import pack
from gateway.store import keys
from gateway.store.scripts import call_together
from gateway.store.taking.consumer_group import Group
from gateway.store.taking.holders import Holder

GROUPS = [Group(shard, "sub") for shard in range(keys.SHARDS)]
NONE, ALL = [0] * keys.SHARDS, [1] * keys.SHARDS


async def acquired(engine):
    """Take the lease of every shard; return the tokens."""
    await call_together(engine, [group.join("now") for group in GROUPS])
    leases = await call_together(
        engine, [group.acquire(Holder("holder"), 60_000) for group in GROUPS]
    )
    return [lease.token for lease in leases]


async def released(engine, tokens):
    calls = [group.release(token) for group, token in zip(GROUPS, tokens, strict=True)]
    return await call_together(engine, calls)


async def test_rounds_at_the_same_time_get_their_own_answers(engine):
    """However many rounds are under way at once, each gets the answers to its own calls."""
    tokens = await acquired(engine)
    told = await asyncio.gather(*(released(engine, each) for each in (NONE, tokens, ALL, NONE)))
    assert told == [NONE, ALL, NONE, NONE]


async def test_a_connection_that_was_closed_at_rest_is_no_failure(engine, redis):
    """A server that drops idle connections has not failed: the next rounds have others."""
    await asyncio.gather(*(released(engine, NONE) for _ in range(3)))
    before = engine.interruptions
    await redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert await released(engine, NONE) == NONE
    assert engine.interruptions == before


async def test_a_server_that_has_forgotten_the_scripts_is_told_again(engine, redis):
    """Each call of a round is answered, the first time that it is made and after a flush."""
    for _ in range(2):
        await redis.script_flush()
        tokens = await acquired(engine)
        await redis.script_flush()
        assert await released(engine, tokens) == ALL


async def test_a_round_that_was_given_up_answers_nobody_else(engine_socket, engine_url, tmp_path):
    """A late answer to a round that was cancelled is never taken for one of the next round."""
    async with proxied(engine_socket, tmp_path / "proxy") as proxy:
        engine = Engine(f"unix://{tmp_path / 'proxy'}")
        tokens = await acquired(engine)
        proxy.hold()
        under_way = asyncio.create_task(released(engine, NONE))
        while not proxy.held:
            await asyncio.sleep(0)
        under_way.cancel()
        await asyncio.wait([under_way])
        proxy.let_go()
        assert await released(engine, tokens) == ALL
        await engine.close()


async def test_a_server_that_is_dropped_while_we_connect_gets_no_command():
    """What was to be asked there fails; the connection is closed without a word."""
    logging_in, may_answer, heard = asyncio.Event(), asyncio.Event(), []

    async def serve(reader, writer):
        heard.append(await reader.readuntil(b"secret\r\n"))
        logging_in.set()
        await may_answer.wait()
        writer.write(b"+OK\r\n")
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        links = LinkPool(EngineAccess(), timeout_s=10)
        asked = asyncio.create_task(
            links.exchange(f"redis://:secret@127.0.0.1:{port}", [pack("PING")])
        )
        await logging_in.wait()
        links.keep(())
        may_answer.set()
        with pytest.raises(ConnectionError, match="given up"):
            await asked
        while len(heard) < 2:
            await asyncio.sleep(0)
    assert heard == [pack("AUTH", "secret"), b""]
