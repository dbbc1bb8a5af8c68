"""The supervised server: it starts, comes back, is owned by one, and goes when we go."""

import asyncio
import logging
import os
import signal
import stat
import sys
import textwrap
from pathlib import Path

import pytest
import redis.asyncio as aioredis
from support.engines import inline, running_engine, supervised
from support.eventually import eventually

from gateway.embedded import EmbeddedEngine
from gateway.embedded.folder import Folder
from gateway.embedded.locks import Lock
from gateway.errors import EmbeddedEngineError
from gateway.sizing import data_bytes

MEMORY = 64 << 20


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def socket_of(data_dir: Path) -> Path:
    path = Folder.of(data_dir).noted_socket()
    assert path is not None
    return path


async def come_back(engine: EmbeddedEngine, old_pid: int) -> int:
    await eventually(lambda: engine.pid not in (None, old_pid))
    assert await engine.wait_ready(60)
    return engine.pid


async def test_it_answers_redis_clients_with_the_settings_we_rely_on(tmp_path):
    """It keeps an append-only file, evicts nothing, and listens on no port."""
    async with running_engine(tmp_path) as url, aioredis.from_url(url) as client:
        settings = await client.config_get(
            "appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy", "port"
        )
    assert settings == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": str(data_bytes(256 << 20)),  # the rest is for what comes beside it
        "maxmemory-policy": "noeviction",
        "port": "0",
    }


async def test_only_its_user_can_reach_it(tmp_path):
    """The folder and the socket are closed to everybody else."""
    async with running_engine(tmp_path):
        path = socket_of(tmp_path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "valkey").stat().st_mode) == 0o700


async def test_a_killed_server_comes_back_with_its_data(tmp_path, caplog):
    """After kill -9 of the server, it runs again on the same URL with everything it had."""
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        await client.xadd("s", {"n": 1})
        await client.execute_command("WAITAOF", 1, 0, 1000)
        pid = engine.pid
        os.kill(pid, signal.SIGKILL)
        await come_back(engine, pid)
        assert await client.xlen("s") == 1
    ended = [r for r in caplog.records if "starting it again" in r.message]
    assert [r.fields["why"] for r in ended] == ["exit code -9"]
    assert ended[0].levelno == logging.WARNING


async def test_it_comes_back_again_and_again_with_growing_pauses(tmp_path, monkeypatch, caplog):
    """Each short life doubles the pause before the next."""
    monkeypatch.setattr("gateway.embedded.engine._STEADY_S", 600.0)
    async with supervised(tmp_path) as engine:
        for _ in range(3):
            pid = engine.pid
            os.kill(pid, signal.SIGKILL)
            await come_back(engine, pid)
    pauses = [r.fields["pause_s"] for r in caplog.records if "starting it again" in r.message]
    assert pauses == [0.05, 0.1, 0.2]


async def test_a_server_that_cannot_start_is_retried_and_its_words_are_told(tmp_path, caplog):
    """A server that ends at once is no reason to end: its last words are in our log."""
    fake = tmp_path / "server"
    fake.write_text("#!/bin/sh\necho the disk is on fire\nexit 3\n")
    fake.chmod(0o755)
    engine = EmbeddedEngine(
        tmp_path / "d", max_memory_bytes=MEMORY, environ={"GATEWAY_VALKEY_SERVER": str(fake)}
    )
    await engine.start()
    try:
        lines = lambda: [r for r in caplog.records if "starting it again" in r.message]  # noqa: E731
        await eventually(lambda: len(lines()) >= 2)
        assert lines()[0].fields["why"] == "exit code 3"
        assert "the disk is on fire" in lines()[0].fields["last_words"]
        assert not await engine.wait_ready(0.05)
    finally:
        await engine.stop()


async def test_a_second_owner_is_refused_by_name(tmp_path):
    """Two gateways on one data directory: the second is told who has it."""
    async with running_engine(tmp_path):
        second = EmbeddedEngine(tmp_path, max_memory_bytes=MEMORY)
        with pytest.raises(EmbeddedEngineError, match=rf"process {os.getpid()}.*data_dir"):
            await second.start(patience_s=0.05)


async def test_stopping_writes_down_and_leaves_nothing_behind(tmp_path):
    """stop() loses no write, ends the process and run(), and takes the socket away."""
    async with supervised(tmp_path) as engine:
        running = asyncio.create_task(engine.run())
        pid, path = engine.pid, socket_of(tmp_path)
        async with aioredis.from_url(engine.url) as client:
            await client.set("k", "v")  # not yet synced: everysec
        await engine.stop()
        await running
        assert not alive(pid)
        assert not path.exists()
        assert Folder.of(tmp_path).noted_socket() is None
    async with running_engine(tmp_path) as url, aioredis.from_url(url) as client:
        assert await client.get("k") == b"v"


async def test_stopping_while_the_server_is_away_is_quick(tmp_path, monkeypatch):
    """stop() during the pause before the next life does not wait for one."""
    monkeypatch.setattr("gateway.embedded.engine.FIRST_PAUSE_S", 60.0)
    async with supervised(tmp_path) as engine:
        os.kill(engine.pid, signal.SIGKILL)
        await eventually(lambda: engine.pid is None)
        async with asyncio.timeout(30):
            await engine.stop()


async def test_a_data_directory_may_have_any_name(tmp_path):
    """Blanks, quotes and letters of any alphabet in the path are fine."""
    data_dir = tmp_path / 'a "b" \\x41 é'
    async with running_engine(data_dir) as url, aioredis.from_url(url) as client:
        assert (await client.config_get("dir"))["dir"] == str(data_dir / "valkey")


async def test_a_long_path_moves_the_socket_to_a_private_folder(tmp_path, monkeypatch):
    """A path beyond what sockets can have works, and leaves nothing in the other folder."""
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    data_dir = tmp_path / ("long" * 30)
    async with running_engine(data_dir) as url, aioredis.from_url(url) as client:
        assert await client.ping()
        path = socket_of(data_dir)
        assert str(path).startswith("/tmp/gateway-")
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.parent.exists()


# A gateway in a process of its own, to be killed with its engine running.
OWNER = """
    import asyncio, sys
    from pathlib import Path
    from gateway.embedded import EmbeddedEngine
    async def main():
        engine = EmbeddedEngine(Path(sys.argv[1]), max_memory_bytes=1 << 26)
        await engine.start()
        assert await engine.wait_ready(60)
        print(engine.pid, flush=True)
        await engine.run()
    asyncio.run(main())
"""


async def owner_process(data_dir: Path) -> tuple[asyncio.subprocess.Process, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(OWNER),
        str(data_dir),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    return process, int(await process.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal is Linux's")
async def test_a_killed_gateway_takes_its_server_along(tmp_path):
    """kill -9 of the owner ends its server too, which writes everything down."""
    owner, pid = await owner_process(tmp_path)
    assert inline(socket_of(tmp_path), b"SET k v") == [b"+OK"]
    owner.kill()
    await owner.wait()
    await eventually(lambda: not alive(pid))
    async with running_engine(tmp_path) as url, aioredis.from_url(url) as client:
        assert await client.get("k") == b"v"


async def test_a_server_left_behind_is_waited_for_before_the_next(tmp_path, monkeypatch, caplog):
    """A server that outlives its owner is never joined by a second one: it ends first."""
    monkeypatch.setattr("gateway.embedded.engine._LEFT_OVER_PATIENCE_S", 1.0)
    owner, pid = await owner_process(tmp_path)
    os.kill(pid, signal.SIGSTOP)  # it cannot follow its owner, nor take a hint
    owner.kill()
    await owner.wait()
    async with supervised(tmp_path) as engine:
        assert engine.pid != pid
        assert not alive(pid)
    told = [r.fields["signal"] for r in caplog.records if "left behind" in r.message]
    assert told == ["SIGTERM", "SIGKILL"]


async def test_a_rewrite_left_behind_is_ended_before_the_next(tmp_path, monkeypatch):
    """The owner and the server are killed while a rewrite runs, which goes on and holds the lock:
    it is ended too, and what it wrote is removed.
    """
    monkeypatch.setattr("gateway.embedded.engine._LEFT_OVER_PATIENCE_S", 0.5)
    owner, pid = await owner_process(tmp_path)
    path = socket_of(tmp_path)
    slowly = b"CONFIG SET rdb-key-save-delay 10000000"
    assert inline(path, b"SET k v", slowly) == [b"+OK", b"+OK"]
    inline(path, b"BGREWRITEAOF")
    await eventually(lambda: list((tmp_path / "valkey").glob("temp-rewriteaof-bg-*")))
    owner.kill()
    os.kill(pid, signal.SIGKILL)
    await owner.wait()
    async with supervised(tmp_path) as engine, aioredis.from_url(engine.url) as client:
        assert await client.get("k") == b"v"
        assert not list((tmp_path / "valkey").glob("temp-*"))


async def test_the_servers_lock_is_held_by_the_server(tmp_path):
    """The lock ends with the server, not with its owner, and names it."""
    owner, pid = await owner_process(tmp_path)
    os.kill(pid, signal.SIGSTOP)
    owner.kill()
    await owner.wait()
    lock = Lock(Folder.of(tmp_path).server_lock)
    try:
        assert not lock.try_take()
        assert lock.holder() == pid
        os.kill(pid, signal.SIGCONT)
        assert await lock.take_within(60)
    finally:
        lock.close()
