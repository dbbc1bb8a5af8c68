"""`gateway move`, cut off at every kind of moment, run in the wrong way, or beside somebody at work."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from support.commands import command
from support.engines import running_engine, supervised
from support.eventually import eventually
from support.load import Load
from support.proxy import proxied
from support.receiver import running_receiver
from support.running_gateway import RunningGateway, running_gateway
from support.verdict import assert_nothing_lost

from gateway.store import keys

pytestmark = pytest.mark.xdist_group("servers")
LONG = bool(os.environ.get("GATEWAY_LONG"))
# So many requests after its beginning a move is killed; then after so many times as many.
FIRST, GROWTH = 3, 1.15 if LONG else 1.8


def to(receiver):
    return [{"name": "app", "kind": "http", "url": receiver.url, "order": "call"}]


async def backlog(gateway, load, count):
    """Have `count` events wait for a subscriber that is paused, and stop the gateway."""
    assert (await command(gateway, "subscriber", "pause", "app"))[0] == 0
    await eventually(lambda: some_wait(gateway, load), within_s=60)
    await load.run(count, first=len(load.acked))
    await eventually(lambda: gateway.ask("/readyz"), within_s=60)
    await gateway.stop()


async def some_wait(gateway, load):
    await load.run(20, first=len(load.acked))  # a pause takes a second
    ledger = await gateway.ledger()
    return ledger and ledger["subscribers"]["app"]["waiting"]["unread"]


class Killer:
    """Kills a process at the `n`th request to either engine."""

    def __init__(self, n):
        self.left, self.process = n, None

    def request(self):
        self.left -= 1
        if self.left == 0:
            self.process.send_signal(signal.SIGKILL)


@pytest.mark.hard
async def test_a_move_may_be_killed_at_any_moment(tmp_path):
    """kill -9 after a few requests, after more, and so on to its very end, each time run again:
    then all is on the new engine once, and nothing on the old one.
    """
    async with (
        running_receiver() as receiver,
        supervised(tmp_path / "old") as old,
        supervised(tmp_path / "new") as new,
        through(old, tmp_path / "a") as (source, here),
        through(new, tmp_path / "b") as (target, there),
    ):
        config = {"subscribers": to(receiver), "redis": {"url": old.url}}
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            await backlog(gateway, load, 200)
            requests, moved, kills = float(FIRST), None, 0
            while moved != 0:
                killer = Killer(int(requests))
                here.on_request = there.on_request = killer.request
                killer.process = process = subprocess.Popen(
                    [sys.executable, "-m", "gateway", "move", "--from", source, "--to", target],
                    cwd=gateway.folder,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                said, _ = await asyncio.to_thread(process.communicate)
                moved = process.returncode
                assert moved in {0, -signal.SIGKILL}, said.decode()
                requests, kills = requests * GROWTH, kills + (moved != 0)
            assert kills >= 5
            async with Redis.from_url(old.url) as client:
                assert await client.keys("gw:*") == []
            gateway.config["redis"] = {"url": new.url}
            await gateway.start()
            assert (await command(gateway, "subscriber", "resume", "app"))[0] == 0
            assert await assert_nothing_lost(gateway, load, receiver) == 0


@asynccontextmanager
async def through(engine, path):
    """The URL of a way to an engine that is watched, and who watches it."""
    async with proxied(engine.url.removeprefix("unix://"), path) as proxy:
        yield f"unix://{path}", proxy


async def test_a_move_that_had_marked_one_side_only_goes_on(tmp_path):
    """Killed between its two marks it is simply run again; so is one that was killed when all was
    done but the telling.
    """
    async with supervised(tmp_path / "old") as old, supervised(tmp_path / "new") as new:
        async with running_gateway(tmp_path / "g", redis={"url": old.url}) as gateway:
            await Load(gateway.port).run(10)
            await gateway.settled()
            await gateway.stop()
            urls = ("--from", old.url, "--to", new.url)
            async with Redis.from_url(new.url) as client:
                await client.set(keys.MOVING_FROM, '{"id":"left-behind","done":false}')
                for _ in range(2):
                    code, said = await command(gateway, "move", *urls)
                    assert code == 0, said
                    assert "moved: 0 waiting" in said
                assert await client.get(keys.FORMAT) is not None


async def test_a_part_that_only_publishes_is_at_work_too(tmp_path):
    """A gateway without leases: a move from under it is refused, and it goes on."""
    async with running_engine(tmp_path / "new") as new, running_engine(tmp_path / "old") as old:
        async with running_gateway(
            tmp_path / "g", args=("--only", "ingest"), redis={"url": old}
        ) as gateway:
            await eventually(lambda: gateway.is_up(), within_s=60)
            mover = RunningGateway(tmp_path / "m", {"redis": {"url": old}})
            mover.write_config()
            code, said = await command(mover, "move", "--to", new)
            assert code == 1
            assert "a gateway still works on the Redis to move from" in said


async def test_there_and_back(tmp_path):
    """Who regrets having moved moves back into the embedded engine, and nothing comes twice."""
    async with running_engine(tmp_path / "new") as url, running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", subscribers=to(receiver)) as gateway:
            load = Load(gateway.port)
            await load.run(50)
            await gateway.settled()
            await backlog(gateway, load, 50)
            for where in (url, "embedded"):
                code, said = await command(gateway, "move", "--to", where)
                assert code == 0, said
                gateway.config["redis"] = {"url": where}
                await gateway.start()
                await eventually(lambda: gateway.ask("/readyz"), within_s=60)
                await gateway.stop()
            await gateway.start()
            assert (await command(gateway, "subscriber", "resume", "app"))[0] == 0
            assert await assert_nothing_lost(gateway, load, receiver) == 0
