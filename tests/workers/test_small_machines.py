"""Small machines and odd ones: what a container takes away, or has in another way."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
import redis.asyncio as aioredis
from support.engines import supervised
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import RunningGateway, running_gateway
from support.verdict import assert_nothing_lost
from support.within import may_mount, running_within

as_root = pytest.mark.skipif(not may_mount(), reason="only root makes mounts of its own")


def http(receiver):
    return [{"name": "app", "kind": "http", "url": receiver.url, "order": "call"}]


READ_ONLY = """
mount --make-rprivate /
mount --bind data data
for place in / /tmp /var/tmp /dev/shm; do
  if mountpoint -q $place; then mount -o remount,bind,ro $place; fi
done
for place in / /tmp /var/tmp /dev/shm .; do
  if touch $place/written 2>/dev/null; then exit 9; fi
done
exec "$@"
"""


@as_root
@pytest.mark.parametrize("workers", [1, 2])
async def test_nothing_but_data_dir_can_be_written_to(tmp_path, workers):
    """With a root that is read-only, and so no writable /tmp, everything works."""
    async with running_receiver() as receiver:
        more = {"subscribers": http(receiver), "server": {"workers": workers}}
        async with running_within(tmp_path / "g", READ_ONLY, **more) as gateway:
            load = Load(gateway.port)
            await load.run(200)
            await assert_nothing_lost(gateway, load, receiver)


@pytest.mark.parametrize("workers", [1, 2])
async def test_standard_output_is_on_a_full_disk(tmp_path, workers):
    """Neither the banner nor a log line costs more than itself, and the end is in good order."""
    async with running_receiver() as receiver:
        gateway = RunningGateway(
            tmp_path / "g",
            {"subscribers": http(receiver), "server": {"workers": workers}, "log": {}},
        )
        gateway.write_config()
        with open("/dev/full", "wb") as full:  # noqa: PTH123, ASYNC230
            gateway._process = gateway._popen(full)
        await eventually(lambda: gateway.ask("/healthz"), within_s=60)
        load = Load(gateway.port)
        await eventually(lambda: gateway.ask("/readyz"), within_s=60)
        await load.run(100)
        await assert_nothing_lost(gateway, load, receiver)
        assert await gateway.stop() == 0


def test_a_command_whose_output_does_not_fit(tmp_path):
    """It says so, in words, and ends with 1."""
    (tmp_path / "config.yaml").write_text("apps: [{api_key: k, secrets: [s]}]\n")
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "gateway", "check"]
        ended = subprocess.run(
            command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    said = "gateway: cannot write what is to be told: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, said)


# ---- signals


def heard(pid):
    """Whether SIGTERM is caught, or waits until it is: the first process is sent no other."""
    found = 0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(("SigCgt:", "SigBlk:")):
            found |= int(line.split()[1], 16)
    return bool(found >> (signal.SIGTERM - 1) & 1)


def is_ours(pid):
    """Whether it is the gateway already, and not yet what starts it, which blocks signals too."""
    return b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]


def child_of(pid):
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(found[0]) if found else None


def as_first_process(gateway, *before):
    """What starts it; `before`: a command that ends in executing it."""
    command = [*before, sys.executable, "-m", "gateway", "run"]
    return subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *command],
        cwd=gateway.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


BLOCKING = ("env", "--block-signal=TERM")  # of GNU's coreutils, since 8.31


def may_block():
    return subprocess.run([*BLOCKING, "true"], stderr=subprocess.DEVNULL, check=False).returncode


@as_root
@pytest.mark.skipif(may_block() != 0, reason="this env cannot block signals")
@pytest.mark.parametrize("_", range(5))
def test_with_its_end_blocked_from_outside_no_instant_is_deaf(tmp_path, _):
    """Whoever starts it with SIGTERM blocked is heard also while the interpreter itself begins."""
    gateway = RunningGateway(tmp_path / "g", {})
    gateway.write_config()
    outer = as_first_process(gateway, *BLOCKING)
    try:
        while (pid := child_of(outer.pid)) is None or not is_ours(pid):
            assert outer.poll() is None
        assert heard(pid)
        os.kill(pid, signal.SIGTERM)
        assert outer.wait(timeout=120) == 0
    finally:
        outer.kill()
        outer.wait()


@as_root
@pytest.mark.parametrize("looks", first(1000, 1, 30, 10_000, 30_000))
def test_the_first_process_of_a_container_hears_its_end(tmp_path, looks):
    """From the first line of ours on SIGTERM is heard at every instant, whatever is being read or
    started just then, and the end is in good order.
    """
    gateway = RunningGateway(tmp_path / "g", {})
    gateway.write_config()
    outer = as_first_process(gateway)
    try:
        while (pid := child_of(outer.pid)) is None or not (is_ours(pid) and heard(pid)):
            assert outer.poll() is None
        for _ in range(looks):
            assert heard(pid)
        os.kill(pid, signal.SIGTERM)
        assert outer.wait(timeout=120) == 0
    finally:
        outer.kill()
        outer.wait()


# ---- Redis

ODD = {"used_memory": "1.2G", "maxmemory": "?", "loading": "no", "mem_not_counted_for_evict": ""}


class OddServer:
    """A proxy in front of a real server, which says odd things in INFO."""

    def __init__(self, path):
        self._path = path

    async def serve(self, reader, writer):
        theirs, ours = await asyncio.open_unix_connection(self._path)
        try:
            await asyncio.gather(self._pass(reader, ours), self._change(theirs, writer))
        except OSError:
            pass
        finally:
            writer.close()
            ours.close()

    async def _pass(self, reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _change(self, reader, writer):
        while data := await reader.read(1 << 20):
            for name, value in ODD.items():
                begin = data.find(f"\n{name}:".encode())
                if begin >= 0:
                    begin += len(name) + 2
                    end = data.index(b"\r", begin)
                    data = (
                        data[:begin] + value.encode().ljust(end - begin)[: end - begin] + data[end:]
                    )
            writer.write(data)
            await writer.drain()
        writer.close()


async def test_info_says_odd_things(tmp_path):
    """Fields that are no numbers are as good as none: everything works."""
    async with supervised(tmp_path / "engine") as engine, running_receiver() as receiver:
        odd = OddServer(engine.url.removeprefix("unix://"))
        server = await asyncio.start_server(odd.serve, "127.0.0.1", 0)
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        more = {"subscribers": http(receiver), "redis": {"url": url}}
        async with running_gateway(tmp_path / "g", **more) as gateway:
            load = Load(gateway.port)
            await load.run(100)
            await assert_nothing_lost(gateway, load, receiver)
            ready = await eventually(lambda: gateway.ask("/readyz"), within_s=60)
            assert ready == {"ready": True, "reasons": []}
        server.close()


async def test_scripts_cannot_be_loaded(tmp_path):
    """An engine, or a user's rights, that refuse SCRIPT LOAD: scripts come in full."""
    async with supervised(tmp_path / "engine") as engine, running_receiver() as receiver:
        async with aioredis.Redis.from_url(engine.url) as redis:
            await redis.execute_command("ACL", "SETUSER", "default", "-script")
            more = {"subscribers": http(receiver), "redis": {"url": engine.url}}
            async with running_gateway(tmp_path / "g", **more) as gateway:
                load = Load(gateway.port)
                await load.run(100)
                await assert_nothing_lost(gateway, load, receiver)
                assert "NOSCRIPT" not in gateway.log_text


# ---- addresses


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("host", ["::", "*"])
async def test_one_host_for_both_families(tmp_path, host, workers):
    """Both ports answer on IPv4, and on IPv6 where the machine has it."""
    addresses = ["127.0.0.1"]
    if socket.has_ipv6 and Path("/proc/net/if_inet6").exists():
        addresses.append("[::1]")
    gateway = RunningGateway(tmp_path / "g", {})
    gateway.config["server"].update(host=host, workers=workers)
    gateway.config["admin"].update(host=host, allow_remote=True)
    await gateway.start()
    try:
        async with aiohttp.ClientSession() as session:
            for address in addresses:
                for port in (gateway.port, gateway.admin_port):
                    async with session.get(f"http://{address}:{port}/healthz") as response:
                        assert response.status == 200
    finally:
        assert await gateway.stop() == 0


# ---- files


def open_to_others(folder):
    found = [folder, *folder.rglob("*")]
    return [path for path in found if stat.S_IMODE(path.lstat().st_mode) & 0o077]


@pytest.mark.parametrize("workers", [1, 2])
async def test_what_is_written_is_ours_alone(tmp_path, workers):
    """Whatever umask we are started with: nobody else reads a journal or the engine's files."""
    before = os.umask(0)
    try:
        async with running_receiver() as receiver:
            more = {"subscribers": http(receiver), "server": {"workers": workers}}
            async with running_gateway(tmp_path / "g", **more) as gateway:
                load = Load(gateway.port)
                await load.run(50)
                await assert_nothing_lost(gateway, load, receiver)
                assert open_to_others(gateway.data) == []
            assert open_to_others(gateway.data) == []
    finally:
        os.umask(before)


TOLD = "others can write into data_dir"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o707])
async def test_a_data_dir_that_others_can_write_into_is_told(tmp_path, mode):
    """Once; and it is used."""
    gateway = RunningGateway(tmp_path / "g", {})
    gateway.data.mkdir()
    gateway.data.chmod(mode)
    await gateway.start()
    assert await gateway.stop() == 0
    assert gateway.log_text.count(TOLD) == 1


@as_root
@pytest.mark.parametrize("mode", ["0777", "2777", "2775"])
async def test_a_volume_of_a_container_is_no_place_of_others(tmp_path, mode):
    """An emptyDir, and a claim with fsGroup, with root as their owner: nothing is told."""
    script = f'mount -t tmpfs -o mode={mode},gid=4711 none data\nexec "$@"'
    async with running_within(tmp_path / "g", script) as gateway:
        await gateway.up()
        assert TOLD not in gateway.log_text


@as_root
@pytest.mark.parametrize("name", ["journal", "valkey", "gateway.lock"])
async def test_what_another_user_has_put_there_is_refused(tmp_path, name):
    """In words, with whose it is, before anything of it is read."""
    gateway = RunningGateway(tmp_path / "g", {})
    gateway.data.mkdir()
    gateway.data.chmod(0o777)
    planted = gateway.data / name
    planted.touch() if "." in name else planted.mkdir()
    os.chown(planted, 4711, 4711)
    gateway.launch()
    assert await gateway.ended() == 1
    assert f"{name} belongs to another user (uid 4711)" in gateway.log_text
    assert "Traceback" not in gateway.log_text


@as_root
async def test_what_is_no_entry_of_ours_may_be_anybodys(tmp_path):
    """Others' files beside ours are none of our business; nor is who owns a private folder."""
    for name, mode, planted in (("a", 0o777, "notes"), ("b", 0o700, "journal")):
        gateway = RunningGateway(tmp_path / name, {})
        gateway.data.mkdir()
        gateway.data.chmod(mode)
        (gateway.data / planted).mkdir()
        os.chown(gateway.data / planted, 4711, 4711)
        await gateway.start()
        assert await gateway.stop() == 0
