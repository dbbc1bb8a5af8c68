"""Redis behind TLS, one server and several: rediss:// with an authority and a client certificate."""

import asyncio
from collections import Counter

import pytest
import trustme
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.servers import LONG_MS, SOON_MS, cluster, sentinel_set
from support.tls_front import tls_front
from support.tls_servers import fronted
from support.verdict import assert_nothing_lost


async def test_everything_goes_through_tls_and_survives_its_resets(tmp_path, engine_url):
    """Through rediss:// with a client certificate nothing acked is lost, cut as it may be."""
    async with tls_front(tmp_path, engine_url) as front, running_receiver() as receiver:
        settings = {
            "redis": front.arguments,
            "ingest": {"ack": "redis"},
            "subscribers": [{"name": "app", "kind": "http", "url": receiver.url}],
        }
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            await load.run(150)
            taken = front.taken
            front.cut()
            await load.run(150, first=150)
            await eventually(lambda: front.taken > taken)
            ledger = await gateway.settled()
            assert Counter(load.acked).keys() == set(receiver.bodies)
            assert ledger["overall"]["accepted"] == len(load.acked) == 300


async def test_a_redis_that_nobody_vouches_for_is_not_used(tmp_path, engine_url):
    """Behind an unknown authority webhooks wait in the journal, and the log says why."""
    async with tls_front(tmp_path, engine_url) as front:
        trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
        settings = {"redis": {**front.arguments, "ca": str(tmp_path / "other.pem")}}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            await load.run(20)
            await eventually(lambda: "certificate verify failed" in gateway.log_text)
            assert load.statuses == Counter({200: 20})
            assert await gateway.ask("/readyz") is None


@pytest.mark.xdist_group("servers")
@pytest.mark.parametrize("kind", first("cluster", "sentinel"))
async def test_several_servers_behind_tls_fail_over(tmp_path, kind):
    """Sentinels and a Cluster, all of them behind certificates of an intermediate authority that are
    for the name which they announce, and asking for ours: a master dies under load, nothing is lost.
    """
    async with fronted(tmp_path) as fronts, running_receiver() as receiver:
        installation = sentinel_set if kind == "sentinel" else cluster
        async with installation(tmp_path / "r", fronts=fronts) as servers:
            settings = {
                "redis": {"url": servers.url, "timeout": "2s", **fronts.arguments},
                "ingest": {"ack": "redis"},
                "subscribers": [
                    {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
                ],
            }
            async with running_gateway(tmp_path / "g", **settings) as gateway:
                load = Load(gateway.port, pause_s=0.005)
                sending = asyncio.create_task(load.run(1_000_000))
                await eventually(lambda: gateway.is_up(), within_s=60)
                await eventually(lambda: len(load.acked) > 300, within_s=60)
                before = fronts.handshakes
                victim, heirs = servers.servers[0], servers.servers[1:]
                masters = [await one.role() for one in servers.servers].count("master")
                await victim.kill()
                await servers.replaces_after(SOON_MS)
                await eventually(lambda: has_masters(heirs, masters), within_s=120)
                await servers.replaces_after(LONG_MS)
                await eventually(lambda: gateway.is_up(), within_s=60)
                back = len(load.acked)
                await eventually(lambda: len(load.acked) > back + 200, within_s=60)
                load.stop = True
                await sending
                await assert_nothing_lost(gateway, load, receiver)
                assert set(load.statuses) == {200}
                assert fronts.handshakes > before


async def has_masters(servers, count):
    return [await one.role() for one in servers].count("master") == count
