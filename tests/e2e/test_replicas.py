"""Several gateways on one Redis: killed, frozen, and what they share taken from under them."""

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager, closing

import pytest
from feed_plain.plain_client import CALL, watching
from redis.asyncio import Redis
from support.commands import command
from support.engines import supervised
from support.eventually import eventually
from support.feed import Sender
from support.load import Load, assert_in_order
from support.receiver import ok, running_receiver
from support.running_gateway import running_gateway
from support.servers import SOON_MS, cluster
from support.verdict import assert_nothing_lost

from gateway.delivery.worker import CROWD
from gateway.store import keys

LONG = bool(os.environ.get("GATEWAY_LONG"))
# How long a lease is that has to end, and one that never lapses, however busy the machine is.
LEASE_S, LONG_LEASE_S = 10 if LONG else 4, 60
CONCURRENCY = 8


@asynccontextmanager
async def two_gateways(folder, url, receiver, listening=(None, None), lease_s=LONG_LEASE_S, **more):
    """Both deliver: each has its share of the subscriber's shards. `lease_s`: of the first."""
    subscriber = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
    settings = {
        "subscribers": [{**subscriber, "concurrency": CONCURRENCY}],
        "feed": {"access": "any"},
        **more,
    }

    @asynccontextmanager
    async def gateway(name, listening, lease_s):
        redis = {"url": url, "lease": f"{lease_s}s"}
        async with running_gateway(
            folder / name, listening=listening, redis=redis, **settings
        ) as one:
            await eventually(lambda: one.is_up(), within_s=60)
            yield one

    async with (
        gateway("one", listening[0], lease_s) as one,
        gateway("two", listening[1], LONG_LEASE_S) as two,
    ):
        yield one, two


def union(*loads):
    """What several senders sent, as one."""
    whole = Load(0)
    for load in loads:
        whole.acked += load.acked
    return whole


async def test_a_killed_gateway_is_replaced_after_its_lease(tmp_path):
    """kill -9 of one: the other delivers all once the lease has ended; the dead one's
    journal comes with it, and nothing that either acknowledged is lost.
    """
    async with supervised(tmp_path / "r") as redis, running_receiver() as receiver:
        async with two_gateways(tmp_path, redis.url, receiver, lease_s=LEASE_S) as (one, two):
            first, second = Load(one.port), Load(two.port, name="other", pause_s=0.005)
            sending = asyncio.create_task(first.run(1_000_000))
            await eventually(lambda: len(first.acked) > 500, within_s=60)
            first.stop = True
            await one.kill()
            await sending
            await second.run(200)
            await eventually(lambda: set(second.acked) <= set(receiver.bodies), within_s=60)
            await one.start()
            await assert_nothing_lost(one, union(first, second), receiver)
            await assert_nothing_lost(two, union(first, second), receiver)


async def test_a_frozen_gateway_that_wakes_settles_and_starts_nothing(tmp_path):
    """SIGSTOP of one, past its lease, and SIGCONT: at most what it had under
    way is delivered twice, and every account adds up.
    """
    frozen_s = 30 if LONG else LEASE_S + 2
    async with (
        supervised(tmp_path / "r") as redis,
        running_receiver(otherwise=ok(after_s=0.01)) as receiver,
    ):
        async with two_gateways(tmp_path, redis.url, receiver, lease_s=LEASE_S) as (one, two):
            load = Load(two.port, pause_s=0.01)
            sending = asyncio.create_task(load.run(1_000_000))
            await eventually(lambda: len(receiver.bodies) > 300, within_s=60)
            frozen = asyncio.get_running_loop().time()
            os.kill(one.pid, signal.SIGSTOP)
            # The other one has taken over when what is sent from now on arrives.
            taken = len(load.acked)
            await eventually(
                lambda: (
                    set(load.acked[: taken + 100]) <= set(receiver.bodies)
                    and len(load.acked) > taken + 100
                ),
                within_s=60,
            )
            loop = asyncio.get_running_loop()
            await eventually(lambda: loop.time() > frozen + frozen_s, within_s=frozen_s + 60)
            os.kill(one.pid, signal.SIGCONT)
            await eventually(lambda: one.is_up(), within_s=60)
            awake = len(load.acked)
            await eventually(lambda: len(load.acked) > awake + 100, within_s=60)
            load.stop = True
            await sending
            repeats = await assert_nothing_lost(two, load, receiver)
            # Under way, and answered but not settled yet: one batch at most.
            assert repeats <= 2 * CONCURRENCY
            assert await repeats_told(two) >= repeats


@pytest.mark.hard
async def test_gateways_are_restarted_one_after_another(tmp_path):
    """A rolling restart under load, twice around, each gateway on a socket that outlives it: no
    connection is refused, what either acknowledged is delivered once and in order.
    """
    async with supervised(tmp_path / "r") as redis, running_receiver() as receiver:
        with closing(passed_socket()) as first, closing(passed_socket()) as second:
            async with two_gateways(
                tmp_path, redis.url, receiver, listening=(first, second), server={"drain": "60s"}
            ) as gateways:
                loads = [
                    Load(one.port, name=f"to{number}-", pause_s=0.005)
                    for number, one in enumerate(gateways)
                ]
                sending = [asyncio.create_task(load.run(1_000_000)) for load in loads]
                for gateway, load in [*zip(gateways, loads, strict=True)] * 2:
                    await restarted(gateway, load)
                for load in loads:
                    load.stop = True
                await asyncio.gather(*sending)
                assert await assert_nothing_lost(gateways[0], union(*loads), receiver) == 0
                assert [load.refused for load in loads] == [0, 0]
                assert all(set(load.statuses) <= {200, 0} for load in loads)


async def restarted(gateway, load):
    before = len(load.acked)
    await eventually(lambda: len(load.acked) > before + 100, within_s=60)
    assert await gateway.stop() == 0
    await gateway.start()
    await eventually(gateway.is_up, within_s=60)


def passed_socket():
    """What systemd holds for a gateway."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


async def repeats_told(gateway):
    return await gateway.metric('gateway_delivery_repeats_total{subscriber="app"}')


@pytest.mark.parametrize("known", ["not", "switched off"])
async def test_a_subscriber_that_one_gateway_alone_serves(tmp_path, known):
    """While a new subscriber has not reached every configuration, or is switched off at one
    gateway, the other one delivers all of it, and it cannot be forgotten by mistake. Once the other
    has it too, they share it; and who goes on alone without it keeps its backlog.
    """
    async with supervised(tmp_path / "r") as redis, running_receiver() as receiver:
        app = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
        shared = {"redis": {"url": redis.url, "lease": f"{LONG_LEASE_S}s"}}
        here = [] if known == "not" else [{**app, "enabled": False}]
        async with (
            running_gateway(tmp_path / "without", subscribers=here, **shared) as without,
            running_gateway(tmp_path / "serves", subscribers=[app], **shared) as serves,
        ):
            load = Load(serves.port)
            for _ in range(3):
                await load.run(100, first=len(load.acked), calls=20)
                await eventually(lambda: set(load.acked) <= set(receiver.bodies), within_s=60)
            code, said = await command(without, "subscriber", "forget", "app", "--dry-run")
            assert code == 1
            assert "--force" in said
            without.config["subscribers"] = [app]
            await without.stop()
            await without.start()
            await eventually(lambda: are_spread(redis.url, 2), within_s=60)
            await load.run(100, first=300, calls=20)
            assert await assert_nothing_lost(serves, load, receiver) == 0


async def are_spread(url, count):
    """Whether so many gateways have shards of the subscriber."""
    async with Redis.from_url(url) as client:
        subs = [keys.subscription(shard, "app") for shard in range(keys.SHARDS)]
        return len({await client.hget(sub, "holder") or b"" for sub in subs} - {b""}) == count


async def test_an_event_that_comes_to_both_is_one(tmp_path, engine_url):
    """The same webhooks at two gateways are published and delivered once."""
    async with running_receiver() as receiver:
        async with two_gateways(tmp_path, engine_url, receiver) as (one, two):
            loads = Load(one.port), Load(two.port)
            await asyncio.gather(*(load.run(300) for load in loads))
            ledger = await two.settled()
            assert ledger["overall"]["published"] == ledger["overall"]["duplicates"] == 300
            assert await assert_nothing_lost(one, loads[0], receiver) == 0


@pytest.mark.hard
async def test_scripts_and_groups_vanish_under_load(tmp_path):
    """SCRIPT FLUSH and XGROUP DESTROY behind our back, again and again: nothing is lost, what is
    read again is counted, and no call goes back.
    """
    async with supervised(tmp_path / "r") as redis, running_receiver() as receiver:
        async with two_gateways(tmp_path, redis.url, receiver) as (one, two):
            loads = Load(one.port, pause_s=0.01), Load(two.port, pause_s=0.01, name="other")
            sending = [asyncio.create_task(load.run(1_000_000)) for load in loads]
            async with Redis.from_url(redis.url) as client:
                for turn in range(6):
                    await eventually(
                        lambda turn=turn: len(loads[0].acked) > 150 * (turn + 1), within_s=60
                    )
                    await client.script_flush()
                    if turn % 2:
                        for shard in range(keys.SHARDS):
                            await client.xgroup_destroy(keys.events(shard), "app")
                await eventually(lambda: has_groups(client), within_s=60)
            for load in loads:
                load.stop = True
            await asyncio.gather(*sending)
            ledger = await one.settled()
            acked = {*loads[0].acked, *loads[1].acked}
            assert acked <= set(receiver.bodies)
            account = ledger["subscribers"]["app"]
            again = len(receiver.bodies) - len(set(receiver.bodies))
            # Beside what was settled and is read again: what was under way each time.
            assert again <= account["repeats"] + 3 * (CROWD + CONCURRENCY)
            assert account["delivered"] == ledger["overall"]["published"] + account["repeats"]
            assert_in_order(receiver.bodies)
            assert set(loads[0].statuses) | set(loads[1].statuses) == {200}


async def has_groups(client):
    return all([await client.xinfo_groups(keys.events(shard)) for shard in range(keys.SHARDS)])


@pytest.mark.xdist_group("servers")
async def test_a_watcher_at_one_gateway_sees_what_comes_to_the_other(tmp_path):
    """On a Cluster, whose shards lie on three masters, and over the failover of one: every event
    comes to the watcher, in order and once.
    """
    async with cluster(tmp_path / "r") as redis, running_receiver() as receiver:
        async with two_gateways(tmp_path, redis.url, receiver) as (one, two):
            calls = [CALL, *(f"default:more-{n}" for n in range(12))]
            async with watching(one, *calls) as watcher, Sender(two) as sender:
                for call in calls * 2:
                    await sender.number(call=call)
                seen = sorted(await watcher.numbers(26, within_s=60))
                assert seen == list(range(26))
                await redis.masters[0].kill()
                await redis.replaces_after(SOON_MS)
                for call in calls:
                    await sender.number(call=call)
                assert sorted(await watcher.numbers(13, within_s=60)) == list(range(26, 39))
                ledger = await two.settled()
                assert ledger["overall"]["published"] == 39
