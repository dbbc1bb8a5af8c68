"""Names whose DNS servers are silent: nobody else waits for them, what is known is used, and the end
comes when it should. The system's own resolver asks a DNS server of the test.
"""

import asyncio

import aiohttp
import pytest
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.name_server import name_server
from support.ports import free_port, full_port
from support.receiver import black_hole, raw, running_receiver
from support.running_gateway import RunningGateway, running_gateway
from support.servers import SOON_MS, one_redis, sentinel_set
from support.verdict import assert_nothing_lost

pytestmark = pytest.mark.xdist_group("servers")

# Longer than any test waits: what waits for a lookup fails.
FOR_MINUTES = "options timeout:30 attempts:5"
CLOSING = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

QUEUE = {
    "name": "queue",
    "kind": "sqs",
    "app": "demo-key",
    "endpoint": "http://dead.test:9",
    "queue_url": "https://sqs.eu-west-1.amazonaws.com/000000000000/q",
}


def patient():
    return {"timeout": "5m", "retry": {"total": "10m"}}


def by_name(receiver, host):
    return receiver.url.replace("127.0.0.1", host)


def to(receiver, host, **more):
    return {"name": "app", "kind": "http", "url": by_name(receiver, host), "order": "call", **more}


def at(name, **more):
    return {"name": name, "kind": "http", "url": f"http://{name}.test:9/", **more}


async def test_dozens_of_dead_names_hold_up_nobody(tmp_path):
    """Beside them another subscriber gets its events, and Redis is reached again, both by name."""
    async with (
        name_server(tmp_path / "dns", options=FOR_MINUTES) as dns,
        one_redis(tmp_path / "r") as server,
        running_receiver(otherwise=CLOSING) as receiver,
    ):
        dead = [f"dead-{number}" for number in range(50)]
        dns.silent.update(f"{name}.test" for name in dead)
        config = {
            "redis": {"url": f"redis://redis.test:{server.port}/0"},
            "subscribers": [*(at(name) for name in dead), to(receiver, "app.test")],
            "feed": {"enabled": False},
        }
        async with running_gateway(tmp_path / "g", within=dns.within, **config) as gateway:
            load = Load(gateway.port)
            await load.run(20)
            await eventually(lambda: all(dns.asked[f"{name}.test"] for name in dead), within_s=60)
            await load.run(20, first=20)
            await eventually(lambda: len(set(receiver.bodies)) >= 40, within_s=60)
            asked = dns.asked["redis.test"]
            await server.client.execute_command("CLIENT", "KILL", "TYPE", "normal")
            await load.run(20, first=40)
            await eventually(lambda: len(set(receiver.bodies)) >= 60, within_s=60)
            assert dns.asked["redis.test"] > asked
            await eventually(lambda: _adds_up(gateway, dead, load), within_s=60)


async def _adds_up(gateway, dead, load):
    """Whether one subscriber has got everything, and all of it waits for the others."""
    ledger = await gateway.ledger()
    if ledger is None or not ledger["balanced"]:
        return False
    accounts = ledger["subscribers"]
    waiting = {sum(accounts[name]["waiting"].values()) for name in dead}
    return (accounts["app"]["delivered"], waiting) == (len(load.acked), {len(load.acked)})


@pytest.mark.parametrize("how", first("silent", "refused"))
async def test_what_is_known_is_used_while_dns_tells_nothing(tmp_path, how):
    """Redis, a subscriber and Stream are reached as before, over new connections; it is said once
    for each name, and once that it is over; nothing is lost.
    """
    async with (
        name_server(tmp_path / "dns", options=FOR_MINUTES) as dns,
        one_redis(tmp_path / "r") as server,
        running_receiver(otherwise=CLOSING) as receiver,
        running_receiver(otherwise=CLOSING) as stream,
    ):
        config = {
            "redis": {"url": f"redis://redis.test:{server.port}/0"},
            "subscribers": [to(receiver, "app.test")],
            "upstream": {"url": f"http://stream.test:{stream.port}"},
        }
        async with running_gateway(tmp_path / "g", within=dns.within, **config) as gateway:
            await gateway.up()
            assert await _stream_answers(gateway)
            load = Load(gateway.port)
            await load.run(20)
            await eventually(lambda: len(receiver.bodies) >= 20, within_s=60)
            getattr(dns, how).add("")
            before = dict(dns.asked)

            async def all_are_asked_for():
                await server.client.execute_command("CLIENT", "KILL", "TYPE", "normal")
                await load.run(5, first=len(load.acked))
                assert await _stream_answers(gateway)
                names = ("redis.test", "app.test", "stream.test")
                return all(dns.asked[name] > before[name] for name in names)

            await eventually(all_are_asked_for, within_s=120)
            await load.run(20, first=len(load.acked))
            await eventually(lambda: set(receiver.bodies) == set(load.acked), within_s=60)
            await eventually(lambda: _told(gateway, "redis.test"), within_s=60)
            assert len(_told(gateway, "redis.test")) == 1
            if how == "refused":  # else the lookups under way end long after the test
                dns.refused.clear()

                async def is_over():
                    await server.client.execute_command("CLIENT", "KILL", "TYPE", "normal")
                    return "the host name redis.test is answered for again" in gateway.log_text

                await eventually(is_over, within_s=60)
            await assert_nothing_lost(gateway, load, receiver)


async def _stream_answers(gateway):
    url = f"http://127.0.0.1:{gateway.port}/video/app?api_key=demo-key"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status == 200


def _told(gateway, host):
    said = f"the host name {host} is not answered for: its last known addresses are used"
    return [line for line in gateway.log_text.splitlines() if said in line]


@pytest.mark.hard
async def test_a_failover_while_dns_is_silent(tmp_path):
    """Sentinels by name are asked at their last known addresses, one of which never had an answer."""
    async with (
        name_server(tmp_path / "dns", options=FOR_MINUTES) as dns,
        sentinel_set(tmp_path / "r") as servers,
        running_receiver() as receiver,
    ):
        dns.silent.add("s0.test")
        ports = [one.port for one in servers.sentinels]
        hosts = ",".join(f"s{number}.test:{port}" for number, port in enumerate(ports))
        config = {
            "redis": {"url": f"redis+sentinel://{hosts}/calls", "timeout": "2s"},
            "subscribers": [to(receiver, "127.0.0.1")],
        }
        async with running_gateway(tmp_path / "g", within=dns.within, **config) as gateway:
            load = Load(gateway.port)
            await load.run(50)
            await eventually(lambda: len(receiver.bodies) >= 50, within_s=60)
            dns.silent.add("")
            await servers.servers[0].kill()
            await servers.replaces_after(SOON_MS)
            await eventually(servers.new_master, within_s=120)
            await load.run(50, first=50)
            await assert_nothing_lost(gateway, load, receiver, within_s=120)


OWN = {"host": "dead.test"}
LISTENERS = {
    "server": {"server": OWN},
    "workers": {"server": {**OWN, "workers": 2}},
    "admin": {"admin": {**OWN, "allow_remote": True}},
}


@pytest.mark.parametrize("listener", first(*LISTENERS))
async def test_a_listener_whose_name_hangs_is_told(tmp_path, listener):
    """Nobody waits for minutes to be told what is wrong with the name of a host of our own."""
    async with name_server(tmp_path / "dns", options=FOR_MINUTES) as dns:
        dns.silent.add("dead.test")
        gateway = RunningGateway(tmp_path / "g", dict(LISTENERS[listener]), within=dns.within)
        gateway.launch()
        assert await gateway.ended(within_s=60) == 1
        assert "on dead.test" in gateway.log_text
        assert "the name is not answered for within" in gateway.log_text


# ---- SIGTERM


def _silent_engine(port):
    return {"redis": {"url": f"redis://dead.test:{port}/0"}}


HANGING_ENGINES = {
    "one": _silent_engine,
    "sentinels": lambda port: {"redis": {"url": f"redis+sentinel://dead.test:{port}/calls"}},
    "cluster": lambda port: {"redis": {"url": f"redis+cluster://dead.test:{port}"}},
    "workers": lambda port: {**_silent_engine(port), "server": {"workers": 2, "drain": "1s"}},
}


@pytest.mark.parametrize("engine", first(*HANGING_ENGINES))
async def test_sigterm_while_the_engines_name_hangs(tmp_path, engine):
    """From the start on: what was taken is in the journal, and published by the next life."""
    async with (
        name_server(tmp_path / "dns", options=FOR_MINUTES) as dns,
        one_redis(tmp_path / "r") as server,
        running_receiver() as receiver,
    ):
        dns.silent.add("dead.test")
        config = {
            "server": {"drain": "1s"},
            "subscribers": [to(receiver, "127.0.0.1")],
            **HANGING_ENGINES[engine](server.port),
        }
        async with running_gateway(tmp_path / "g", within=dns.within, **config) as gateway:
            load = Load(gateway.port)
            await load.run(20)
            await eventually(lambda: dns.asked["dead.test"], within_s=60)
            assert await gateway.stop(within_s=60) == 0
            gateway.config["redis"] = {"url": f"redis://back.test:{server.port}/0"}
            await gateway.start()
            await assert_nothing_lost(gateway, load, receiver)


@pytest.mark.hard
async def test_sigterm_while_a_part_alone_waits_for_a_name(tmp_path):
    """`--only delivery`, whose engine is not answered for."""
    async with name_server(tmp_path / "dns", options=FOR_MINUTES) as dns:
        dns.silent.add("dead.test")
        config = {**_silent_engine(1), "subscribers": [at("app")]}
        parts = {"args": ("--only", "delivery"), "within": dns.within}
        async with running_gateway(tmp_path / "g", **parts, **config) as gateway:
            await eventually(lambda: dns.asked["dead.test"], within_s=60)
            assert await gateway.stop(within_s=60) == 0


@pytest.mark.hard
async def test_sigterm_while_all_that_is_called_hangs(tmp_path):
    """A name, a connection, an answer of subscribers, Stream by name, a queue by name: the end comes
    when the drain is over, and what was not delivered is delivered by the next life.
    """
    async with (
        name_server(tmp_path / "dns", options=FOR_MINUTES) as dns,
        one_redis(tmp_path / "r") as server,
        running_receiver(otherwise=black_hole()) as silent,
    ):
        dns.silent.add("dead.test")
        full = free_port()
        with full_port(full):
            config = {
                "server": {"drain": "1s"},
                "redis": {"url": f"redis://redis.test:{server.port}/0"},
                "upstream": {"url": "http://dead.test:9", "timeout": "5m"},
                "sources": [QUEUE],
                "subscribers": [
                    at("dead", **patient()),
                    {**at("full", **patient()), "url": f"http://127.0.0.1:{full}/"},
                    to(silent, "silent.test", **patient()),
                ],
            }
            within = (*dns.within, "env", "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y")
            async with running_gateway(tmp_path / "g", within=within, **config) as gateway:
                load = Load(gateway.port)
                await load.run(20, calls=20)
                await eventually(lambda: silent.requests, within_s=60)
                asking = asyncio.create_task(_stream_answers(gateway))
                await eventually(lambda: dns.asked["dead.test"], within_s=60)
                assert await gateway.stop(within_s=60) == 0
                await asyncio.wait([asking])
                assert asking.exception() or not asking.result()
                silent.otherwise = CLOSING
                gateway.config["subscribers"] = [to(silent, "silent.test")]
                await gateway.start()
                ledger = await eventually(lambda: _delivered(gateway, load), within_s=60)
                assert set(silent.bodies) == set(load.acked)
                assert ledger["balanced"], ledger


async def _delivered(gateway, load):
    ledger = await gateway.ledger()
    if ledger and ledger["subscribers"]["app"]["delivered"] == len(load.acked):
        return ledger
    return None
