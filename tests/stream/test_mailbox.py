"""Messages between processes, and a connection that dies without a word."""

import asyncio

from support.eventually import eventually
from support.proxy import proxied

from gateway.stream.connection import Engine
from gateway.stream.mailbox import Mailbox
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
            await eventually(lambda: not mailbox.is_open.is_set(), within_s=10)
            await eventually(mailbox.is_open.is_set, within_s=10)
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
        await eventually(lambda: _was_asked(engine), within_s=10)
        await mailbox.send("here", b"still here")
        await eventually(lambda: heard == [b"still here"])
        assert await _listeners(engine) == before
    finally:
        await end([listening])


async def _listeners(engine):
    listed = (await engine.command("CLIENT", "LIST", "TYPE", "PUBSUB")).decode()
    return [line.split()[0] for line in listed.splitlines()]  # id=...


async def _was_asked(engine):
    return b"cmdstat_ping" in await engine.command("INFO", "commandstats")
