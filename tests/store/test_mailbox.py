"""Messages between processes, and a connection that dies without a word."""

import asyncio

import pytest
from support.engines import supervised
from support.eventually import eventually
from support.proxy import proxied

from gateway.engine.engine import Engine
from gateway.errors import EngineUnavailable
from gateway.store.watching.mailbox import Mailbox
from gateway.tasks import end


async def test_a_dead_connection_is_noticed(engine, engine_socket, tmp_path):
    """Half open, it brings nothing and says nothing: it is left, and what is sent from then on
    is heard.
    """
    async with proxied(engine_socket, tmp_path / "proxy") as proxy:
        far = Engine(f"unix://{tmp_path / 'proxy'}", timeout_s=1)
        mailbox, heard = Mailbox(far, "here"), []
        listening = asyncio.create_task(mailbox.run(heard.append))
        try:
            await eventually(mailbox.is_open.is_set)
            await Mailbox(engine, "there").send("here", b"one")
            await eventually(lambda: heard == [b"one"])
            proxy.die()
            await Mailbox(engine, "there").send("here", b"lost")
            await eventually(lambda: not mailbox.is_open.is_set())
            await eventually(mailbox.is_open.is_set)
            await Mailbox(engine, "there").send("here", b"two")
            await eventually(lambda: heard == [b"one", b"two"])
        finally:
            await end([listening])
            await far.close()


async def test_a_quiet_connection_stays(engine):
    """Nothing having come for longer than it takes to ask is no reason to leave."""
    mailbox, heard = Mailbox(engine, "here"), []
    listening = asyncio.create_task(mailbox.run(heard.append))
    try:
        await eventually(mailbox.is_open.is_set)
        before = await _listeners(engine)
        await eventually(lambda: _was_asked(engine))
        await mailbox.send("here", b"still here")
        await eventually(lambda: heard == [b"still here"])
        assert await _listeners(engine) == before
    finally:
        await end([listening])


async def test_a_server_that_was_deposed_is_heard_no_longer(tmp_path):
    """It may be cut off from what is said now: who listened to it comes again, by name."""
    async with supervised(tmp_path) as own:
        engine, heard = Engine(own.url), []
        mailbox = Mailbox(engine, "here")
        listening = asyncio.create_task(mailbox.run(heard.append))
        try:
            await eventually(mailbox.is_open.is_set)
            before = await _listeners(engine)
            await engine.command("REPLICAOF", "127.0.0.1", "1")
            with pytest.raises(EngineUnavailable, match="READONLY"):
                await engine.command("SET", "gw:x", "1")
            await engine.command("REPLICAOF", "NO", "ONE")
            await eventually(lambda: _are_others(engine, before))
            await eventually(mailbox.is_open.is_set)
            await mailbox.send("here", b"one")
            await eventually(lambda: heard == [b"one"])
        finally:
            await end([listening])
            await eventually(lambda: _is_nobody(engine))
            await engine.close()


async def _is_nobody(engine):
    return not await _listeners(engine)


async def _are_others(engine, before):
    now = await _listeners(engine)
    return bool(now) and not set(now) & set(before)


async def _listeners(engine):
    listed = (await engine.command("CLIENT", "LIST", "TYPE", "PUBSUB")).decode()
    return [line.split()[0] for line in listed.splitlines()]  # id=...


async def _was_asked(engine):
    return b"cmdstat_ping" in await engine.command("INFO", "commandstats")
