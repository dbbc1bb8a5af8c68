"""Valkey servers over TCP as real installations have them: replicas, Sentinels, a Cluster.

Every process is the binary of the embedded engine. They die with the test that started them.
Nobody is replaced for having been slow: Sentinels and Clusters wait until a test tells them not to.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import redis.asyncio as aioredis
from redis.exceptions import RedisError
from support.eventually import eventually
from support.ports import free_port, free_ports
from support.tls_servers import NAME, Fronts

from gateway.embedded import find_server

MASTER = "calls"  # what the Sentinels call it
# For how long a server has to be silent until it is replaced.
LONG_MS, SOON_MS = 60_000, 1000


class Server:
    """One process; `lines` go into its configuration."""

    def __init__(
        self, folder: Path, port: int, lines: list[str], *, sentinel: bool = False
    ) -> None:
        self.port, self.folder = port, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "server.conf"
        common = [f"port {port}", "bind 127.0.0.1", f'dir "{folder}"', "loglevel notice"]
        self._file.write_text("\n".join([*common, *lines, ""]))
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self.is_up = False  # neither dead nor frozen
        self.client = aioredis.Redis(port=port, socket_timeout=30)

    async def log_in(self, password: str) -> None:
        """Use this password from now on."""
        await self.client.aclose()
        self.client = aioredis.Redis(port=self.port, socket_timeout=30, password=password)

    async def start(self) -> None:
        command = [str(find_server(os.environ)), str(self._file)]
        with (self.folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                [*command, *(["--sentinel"] if self._sentinel else [])],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        await eventually(self._answers, within_s=60)
        self.is_up = True

    async def _answers(self) -> bool:
        try:
            return bool(await self.client.ping())
        except (RedisError, OSError):
            return False

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self.is_up = number == signal.SIGCONT

    async def kill(self) -> None:
        self.is_up = False
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    async def close(self) -> None:
        await self.kill()
        await self.client.aclose()

    async def info(self, section: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.client.info(section)
        return found

    async def role(self) -> str:
        return str((await self.info("replication"))["role"])

    async def has_replicas(self, count: int) -> bool:
        """Whether so many replicas follow, and have all of it."""
        info = await self.info("replication")
        links = [info[f"slave{at}"] for at in range(info["connected_slaves"])]
        return bool(sum(link["state"] == "online" for link in links) >= count)


def data_lines(*more: str) -> list[str]:
    return [
        "appendonly yes",
        'save ""',
        "maxmemory-policy noeviction",
        "repl-diskless-sync-delay 0",
        *more,
    ]


@asynccontextmanager
async def one_redis(folder: Path, *lines: str) -> AsyncIterator[Server]:
    """A server of its own for a test; it may be left frozen."""
    server = Server(folder, free_port(), data_lines(*lines))
    await server.start()
    try:
        yield server
    finally:
        server.signal(signal.SIGCONT)
        await server.close()


@asynccontextmanager
async def replicated(
    folder: Path, replicas: int, *, fronts: Fronts | None = None
) -> AsyncIterator[list[Server]]:
    """A master and its replicas, in step; a list, the master first."""
    ports = free_ports(replicas + 1)
    async with AsyncExitStack() as stack:
        servers = []
        at_front = [fronts.port_before(port) for port in ports] if fronts else ports
        host = NAME if fronts else "127.0.0.1"
        for at, port in enumerate(ports):
            more = [f"replica-announce-ip {host}", f"replica-announce-port {at_front[at]}"]
            if at:
                more.append(f"replicaof {host} {at_front[0]}")
            servers.append(await _started(stack, Server(folder / f"{at}", port, data_lines(*more))))
        await eventually(lambda: servers[0].has_replicas(replicas), within_s=60)
        yield servers


async def _started(stack: AsyncExitStack, server: Server) -> Server:
    stack.push_async_callback(server.close)
    await server.start()
    return server


def _hosts(scheme: str, servers: list[Server], fronts: Fronts | None) -> tuple[str, str]:
    """The scheme and the hosts by which a gateway is to know these."""
    if fronts is None:
        return scheme, ",".join(f"127.0.0.1:{one.port}" for one in servers)
    ports = (fronts.port_before(one.port) for one in servers)
    return scheme.replace("redis", "rediss"), ",".join(f"{NAME}:{port}" for port in ports)


class SentinelSet:
    """`servers`: the master first; `url`: what a gateway is told."""

    def __init__(
        self, servers: list[Server], sentinels: list[Server], fronts: Fronts | None
    ) -> None:
        self.servers, self.sentinels = servers, sentinels
        scheme, hosts = _hosts("redis+sentinel", sentinels, fronts)
        self.url = f"{scheme}://{hosts}/{MASTER}"

    async def agreed(self) -> bool:
        """Whether every Sentinel knows the others and both replicas."""
        for one in self.sentinels:
            state = await one.client.execute_command("SENTINEL", "MASTER", MASTER)
            fields = (
                state
                if isinstance(state, dict)
                else dict(zip(state[::2], state[1::2], strict=True))
            )
            found = {
                _text(key): int(value)
                for key, value in fields.items()
                if _text(key) in {"num-slaves", "num-other-sentinels"}
            }
            wanted = {
                "num-slaves": len(self.servers) - 1,
                "num-other-sentinels": len(self.sentinels) - 1,
            }
            if found != wanted:
                return False
        return True

    async def replaces_after(self, silent_ms: int) -> None:
        """Have a master replaced that is silent for so long, from now on."""
        for one in self.sentinels:
            await one.client.execute_command(
                "SENTINEL", "SET", MASTER, "down-after-milliseconds", silent_ms
            )

    async def new_master(self) -> Server | None:
        """Who was a replica at the beginning and is the master now."""
        for one in self.servers[1:]:
            if await one.role() == "master":
                return one
        return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@asynccontextmanager
async def sentinel_set(
    folder: Path, replicas: int = 2, *, fronts: Fronts | None = None
) -> AsyncIterator[SentinelSet]:
    """A master, its replicas, and three Sentinels that fail over when they are told to."""
    async with (
        replicated(folder / "data", replicas, fronts=fronts) as servers,
        AsyncExitStack() as stack,
    ):
        announced = await servers[0].client.config_get("replica-announce-*")
        host, port = (announced[f"replica-announce-{one}"] for one in ("ip", "port"))
        lines = [
            "sentinel resolve-hostnames yes",
            "sentinel announce-hostnames yes",
            f"sentinel monitor {MASTER} {host} {port} 2",
            f"sentinel down-after-milliseconds {MASTER} {LONG_MS}",
            f"sentinel failover-timeout {MASTER} 3000",
        ]
        sentinels = [
            await _started(stack, Server(folder / f"s{at}", port, lines, sentinel=True))
            for at, port in enumerate(free_ports(3))
        ]
        for one in sentinels:  # else one that is kept from running sits out for half a minute
            await one.client.execute_command("SENTINEL", "DEBUG", "tilt-trigger", 600_000)
        found = SentinelSet(servers, sentinels, fronts)
        await eventually(found.agreed, within_s=60)
        yield found


class Cluster:
    """Three masters, each with one replica of its own; `url`: what a gateway is told."""

    def __init__(
        self, masters: list[Server], replicas: list[Server], fronts: Fronts | None
    ) -> None:
        self.masters, self.replicas = masters, replicas
        self.url = "://".join(_hosts("redis+cluster", masters, fronts))

    @property
    def servers(self) -> list[Server]:
        return [*self.masters, *self.replicas]

    async def holder(self, slot: int) -> Server:
        """The master of a slot."""
        for row in await self.masters[-1].client.execute_command("CLUSTER SLOTS"):
            if row[0] <= slot <= row[1]:
                port = row[2][1]
                return next(one for one in self.servers if one.port == port)
        raise AssertionError(f"nobody has slot {slot}")

    async def replaces_after(self, silent_ms: int) -> None:
        """Have a master replaced that is silent for so long, from now on."""
        for one in self.servers:
            if one.is_up:
                await one.client.config_set("cluster-node-timeout", silent_ms)

    async def id_of(self, server: Server) -> str:
        return _text(await server.client.execute_command("CLUSTER MYID"))

    async def move_slot(
        self,
        slot: int,
        source: Server,
        target: Server,
        while_asking: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Move a slot as operators do; `while_asking` runs when its keys are gone already."""
        here, there = await self.id_of(source), await self.id_of(target)
        await target.client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        await source.client.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        while names := await source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            await source.client.execute_command(
                "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *names
            )
        if while_asking is not None:
            await while_asking()
        for one in (target, source, *self.masters):
            await one.client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", there)


@asynccontextmanager
async def cluster(folder: Path, *, fronts: Fronts | None = None) -> AsyncIterator[Cluster]:
    """A Cluster of three masters and three replicas that fails over when it is told to."""
    ports = free_ports(12)
    async with AsyncExitStack() as stack:
        servers = []
        for at, (port, bus) in enumerate(zip(ports[:6], ports[6:], strict=True)):
            lines = data_lines(
                "cluster-enabled yes",
                "cluster-config-file nodes.conf",
                f"cluster-port {bus}",
                f"cluster-node-timeout {LONG_MS}",
                "cluster-replica-validity-factor 0",
            )
            if fronts is not None:
                lines += [
                    f"cluster-announce-client-port {fronts.port_before(port)}",
                    f"cluster-announce-hostname {NAME}",
                    "cluster-preferred-endpoint-type hostname",
                ]
            servers.append(await _started(stack, Server(folder / f"{at}", port, lines)))
        found = Cluster(servers[:3], servers[3:], fronts)
        await _joined(found, ports[6:])
        yield found


async def _joined(found: Cluster, buses: list[int]) -> None:
    thirds = ((0, 5460), (5461, 10922), (10923, 16383))
    for master, (first, last) in zip(found.masters, thirds, strict=True):
        await master.client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
    for one, bus in zip(found.servers[1:], buses[1:], strict=True):
        await found.servers[0].client.execute_command("CLUSTER", "MEET", "127.0.0.1", one.port, bus)
    ids = [await found.id_of(master) for master in found.masters]

    async def known() -> bool:
        for one in found.servers:
            nodes = await one.client.execute_command("CLUSTER INFO")
            if int(nodes["cluster_known_nodes"]) != len(found.servers):
                return False
        return True

    await eventually(known, within_s=60)
    for replica, its_master in zip(found.replicas, ids, strict=True):

        async def follows(replica: Server = replica, master: str = its_master) -> bool:
            try:
                await replica.client.execute_command("CLUSTER", "REPLICATE", master)
            except RedisError:  # it has not heard of that master yet
                return False
            return True

        await eventually(follows, within_s=60)

    async def well() -> bool:
        states = [await one.client.execute_command("CLUSTER INFO") for one in found.servers]
        return all(state["cluster_state"] == "ok" for state in states) and all(
            [await master.has_replicas(1) for master in found.masters]
        )

    await eventually(well, within_s=60)


def cut_off(master: Server, replicas: list[Server]) -> Awaitable[Any]:
    """Freeze replicas and drop their links: what the master takes from now on, it alone has."""
    for one in replicas:
        one.signal(signal.SIGSTOP)
    return master.client.execute_command("CLIENT", "KILL", "TYPE", "replica")
