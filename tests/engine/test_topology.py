"""Who is asked: behind Sentinels with passwords of their own, and while a slot is on its way."""

import pytest
from support.eventually import eventually
from support.ports import free_ports
from support.servers import MASTER, SOON_MS, Server, cluster, data_lines

from gateway.engine.access import EngineAccess
from gateway.engine.cluster import slot_of
from gateway.engine.engine import Engine
from gateway.errors import EngineRefused, EngineUnavailable
from gateway.store.scripts import script

pytestmark = pytest.mark.xdist_group("servers")


async def test_sentinels_have_credentials_of_their_own(tmp_path):
    """The password in the URL is the master's, that beside it the Sentinels'; a Sentinel that is
    away or refuses us is passed over; where none tells, each says why.
    """
    data, *ports, nobody = free_ports(4)
    master = Server(tmp_path / "data", data, data_lines("requirepass hush-hush-1"))
    watch = [
        f"sentinel monitor {MASTER} 127.0.0.1 {data} 1",
        f"sentinel auth-pass {MASTER} hush-hush-1",
    ]
    sentinels = [
        Server(tmp_path / f"s{at}", port, [f"requirepass {word}", *watch], sentinel=True)
        for at, (port, word) in enumerate(zip(ports, ("other", "hush-hush-2"), strict=True))
    ]
    for one, word in (
        (master, "hush-hush-1"),
        *zip(sentinels, ("other", "hush-hush-2"), strict=True),
    ):
        await one.log_in(word)
        await one.start()
    hosts = ",".join(f"127.0.0.1:{port}" for port in (nobody, *ports))
    url = f"redis+sentinel://:hush-hush-1@{hosts}/{MASTER}"
    try:
        engine = Engine(url, access=EngineAccess(sentinel={"password": "hush-hush-2"}))
        await engine.command("SET", "gw:{0}:x", "1")
        assert await engine.command("GET", "gw:{0}:x") == b"1"
        await engine.close()
        engine = Engine(url)
        with pytest.raises(EngineUnavailable) as told:
            await engine.command("GET", "gw:{0}:x")
        assert str(told.value).count("127.0.0.1:") >= 3
        assert "hush-hush" not in str(told.value)
        await engine.close()
        other = url.replace(f"/{MASTER}", "/other")
        engine = Engine(other, access=EngineAccess(sentinel={"password": "hush-hush-2"}))
        with pytest.raises(EngineUnavailable, match=f"called other now: .*: knows {MASTER}"):
            await engine.command("GET", "gw:{0}:x")
        await engine.close()
    finally:
        for one in (master, *sentinels):
            await one.close()


async def test_a_key_is_found_wherever_its_slot_is_now(tmp_path):
    """ASK is followed for one command, MOVED from then on, and scripts and pipelines likewise."""
    key = "gw:{0}:sub:x"
    slot = slot_of(key)
    async with cluster(tmp_path) as servers:
        engine = Engine(servers.url)
        await engine.command("HSET", key, "token", "7")
        source = await servers.holder(slot)
        target = next(one for one in servers.masters if one is not source)
        asked = []

        async def ask():
            asked.append(await engine.command("HGET", key, "token"))
            asked.append(await engine.run(script("release"), [key], ["6"]))

        await servers.move_slot(slot, source, target, while_asking=ask)
        assert asked == [b"7", 0]
        assert await engine.command("HGET", key, "token") == b"7"
        assert await engine.run_many(
            [(script("release"), [key], ["7"]), (script("release"), [key], ["6"])]
        ) == [
            1,
            0,
        ]
        assert await servers.holder(slot) is target
        await engine.close()


async def test_a_cluster_wants_to_be_named_as_one(tmp_path):
    """The URL of one node, for all: said at the first key that lies elsewhere."""
    async with cluster(tmp_path) as servers:
        engine = Engine(f"redis://127.0.0.1:{servers.masters[0].port}")
        with pytest.raises(EngineRefused, match=r"write redis\+cluster:// in redis.url"):
            for shard in range(8):
                await engine.command("HGETALL", name_of(shard))
        await engine.close()


async def test_a_key_of_a_dead_master_fails_alone(tmp_path):
    """While one master is away, and has no heir yet, the other shards go on in the same round."""
    async with cluster(tmp_path) as servers:
        engine = Engine(servers.url)
        names = {await servers.holder(slot_of(name)): name for name in map(name_of, range(8))}
        assert len(names) == 3
        for one in servers.replicas:
            await one.kill()
        dead, *_ = names
        calls = [(script("release"), [name], ["1"]) for name in names.values()]
        assert await engine.run_many(calls) == [0, 0, 0]
        await dead.kill()
        first, *others = await engine.run_many(calls)
        assert isinstance(first, EngineUnavailable)
        assert others == [0, 0]
        await servers.replaces_after(SOON_MS)
        await eventually(lambda: is_down(engine, calls), within_s=60)
        await engine.close()


async def is_down(engine, calls):
    """The Cluster says itself that it is not whole: passing, for all of it."""
    try:
        results = await engine.run_many(calls)
    except EngineUnavailable:
        return True
    return all(isinstance(one, EngineUnavailable) for one in results)


def name_of(shard):
    return f"gw:{{{shard}}}:sub:x"
