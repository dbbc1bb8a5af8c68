"""`gateway move`: everything goes along, once, whatever cuts it off."""

import asyncio
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from support import receiver as behaviours
from support.commands import command
from support.engines import inline, supervised
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.proxy import proxied
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.servers import cluster
from support.verdict import assert_nothing_lost

from gateway.store import keys

pytestmark = pytest.mark.xdist_group("servers")


@asynccontextmanager
async def new_engine(kind, folder):
    if kind == "cluster":
        async with cluster(folder) as found:
            yield found.url
    else:
        async with supervised(folder) as own:
            yield own.url


def config(receiver, refuser):
    slow = {"total": "1s", "status_attempts": 1, "slow_first": "1h", "slow_max": "1h"}
    return {
        "subscribers": [
            {"name": "app", "kind": "http", "url": receiver.url, "order": "call"},
            {"name": "later", "kind": "http", "url": refuser.url, "retry": slow, "timeout": "1s"},
            {"name": "never", "kind": "http", "url": receiver.url + "/refused"},
        ]
    }


@pytest.mark.parametrize("kind", first("cluster", "one"))
async def test_all_goes_along_and_nothing_twice(tmp_path, kind):
    """What waits, is parked or buried comes out at the new engine; what was delivered does not;
    what was seen is a duplicate there as well; the old engine is empty and gone.
    """
    async with (
        new_engine(kind, tmp_path / "new") as url,
        running_receiver(by_path) as receiver,
        running_receiver(otherwise=behaviours.status(500)) as refuser,
    ):
        async with running_gateway(tmp_path / "g", **config(receiver, refuser)) as gateway:
            load = Load(gateway.port)
            await load.run(300)
            before = await gateway.tried()
            await gateway.stop()
            refused = await command(gateway, "move")
            assert refused[0] == 1
            assert "all is in embedded already; name the new place with --to" in refused[1]
            assert await command(gateway, "move", "--to", url, "--dry-run") == (
                0,
                "would move: 0 waiting, 300 parked, 300 dead letters\n",
            )
            code, said = await command(gateway, "move", "--to", url)
            assert code == 0, said
            assert "moved: 0 waiting, 300 parked, 300 dead letters" in said
            gateway.config["redis"] = {"url": url}
            await gateway.start()
            assert await gateway.tried() == before
            again = Load(gateway.port)
            await again.run(300)
            await load.run(100, first=300)
            ledger = await gateway.tried()
            assert ledger["balanced"], ledger
            assert ledger["overall"]["published"] == 400
            assert ledger["overall"]["duplicates"] == 300
            assert sorted(bodies_at(receiver, "/stream")) == sorted(load.acked)
            assert ledger["subscribers"]["later"]["waiting"]["parked"] == 400
            assert ledger["subscribers"]["never"]["buried"] == 400


def by_path(request):
    return behaviours.status(400) if request.path.endswith("/refused") else behaviours.ok()


def bodies_at(receiver, path):
    return [one.body for one in receiver.requests if one.path == path]


async def test_a_move_that_is_killed_is_made_again(tmp_path):
    """kill -9 in the middle of copying: until it was run again no gateway starts on either; then
    what waited is delivered, once and in order.
    """
    async with supervised(tmp_path / "new") as new, running_receiver() as receiver:
        subscribers = [{"name": "app", "kind": "http", "url": receiver.url, "order": "call"}]
        async with running_gateway(tmp_path / "g", subscribers=subscribers) as gateway:
            assert (await command(gateway, "subscriber", "pause", "app"))[0] == 0
            load = Load(gateway.port)
            while await waiting_for(gateway, "app") < 1000:  # a pause takes a second
                await load.run(500, first=len(load.acked))
            await gateway.stop()
            await killed_while_copying(gateway, new, tmp_path / "proxy.sock")
            client = Redis.from_url(new.url)
            assert await client.get(keys.FORMAT) is None  # it did not come to its end
            for url in ("embedded", new.url):
                gateway.config["redis"] = {"url": url}
                gateway.write_config()
                code, said = await command(gateway, "run")
                assert code == 1
                expected = "run it again" if url == "embedded" else "still holds events ("
                assert expected in said, said
                code, said = await command(gateway, "dead", "list")
                assert code == 1
                assert "is being moved by `gateway move`" in said, said
            code, said = await command(gateway, "move")  # redis.url says where to
            assert code == 0, said
            assert (await command(gateway, "subscriber", "resume", "app"))[0] == 0
            await gateway.start()
            assert await assert_nothing_lost(gateway, load, receiver) == 0
            await client.aclose()


async def killed_while_copying(gateway, new, path):
    """A move that is killed at its first request after which `new` has events."""
    socket = Path(new.url.removeprefix("unix://"))

    def kill():
        counts = inline(socket, *(f"XLEN {keys.events(n)}".encode() for n in range(keys.SHARDS)))
        if counts != [b":0"] * keys.SHARDS:
            process.send_signal(signal.SIGKILL)

    async with proxied(socket, path) as proxy:
        proxy.on_request = kill
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "move", "--to", f"unix://{path}"],
            cwd=gateway.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        await asyncio.to_thread(process.communicate)
        assert process.returncode == -signal.SIGKILL


async def waiting_for(gateway, name):
    ledger = await eventually(gateway.ledger)
    return sum(ledger["subscribers"][name]["waiting"].values())


async def test_what_is_not_empty_or_in_use_is_not_moved_to(tmp_path, engine_url):
    """A Redis with a gateway's data is refused, so is the one to move from, and a data directory
    in which a gateway runs.
    """
    async with supervised(tmp_path / "new") as new:
        client = Redis.from_url(new.url)
        await client.set(keys.subscription(3, "app"), "x")
        async with running_gateway(tmp_path / "g", redis={"url": engine_url}) as gateway:
            await Load(gateway.port).run(10)
            await gateway.settled()
            assert "a gateway runs in" in (await command(gateway, "move", "--to", new.url))[1]
            await gateway.stop()
            assert "holds a gateway's data" in (await command(gateway, "move", "--to", new.url))[1]
            same = engine_url + "?db=0"
            assert "the one to move from" in (await command(gateway, "move", "--to", same))[1]
            await client.flushall()
            assert (await command(gateway, "move", "--to", new.url))[0] == 0
        assert await client.get(keys.FORMAT) is not None
        await client.aclose()
        old = Redis.from_url(engine_url)
        assert await old.dbsize() == 0
        await old.aclose()
