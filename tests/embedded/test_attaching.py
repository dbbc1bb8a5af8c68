"""Commands find the running server, or bring their own."""

import os
import signal

import pytest
import redis.asyncio as aioredis
from support.engines import running_engine, supervised

from gateway.embedded import attach, attached_or_started
from gateway.errors import EmbeddedEngineError

MEMORY = 64 << 20


async def test_nothing_to_attach_to(tmp_path):
    """Without a server, and in a directory that does not exist, attach() says None."""
    assert attach(tmp_path / "none") is None
    async with running_engine(tmp_path):
        pass
    assert attach(tmp_path) is None


async def test_a_running_server_is_borrowed_and_left_running(tmp_path):
    """A command uses the gateway's server and does not end it."""
    async with running_engine(tmp_path) as url:
        async with attached_or_started(tmp_path, MEMORY) as borrowed:
            assert borrowed == url
        assert attach(tmp_path) == url


async def test_a_command_alone_brings_its_own_server(tmp_path):
    """Without a gateway, the server runs for the command's time, on the same data."""
    for expected in (1, 2):
        async with attached_or_started(tmp_path, MEMORY) as url, aioredis.from_url(url) as client:
            assert await client.incr("n") == expected
        assert attach(tmp_path) is None


async def test_a_server_that_is_just_restarting_is_waited_for(tmp_path):
    """A command that comes while the gateway restarts its server gets that one."""
    async with supervised(tmp_path) as engine:
        os.kill(engine.pid, signal.SIGKILL)
        async with attached_or_started(tmp_path, MEMORY) as borrowed:
            assert borrowed == engine.url


async def test_a_stale_note_is_no_server(tmp_path):
    """A socket path left by a killed gateway is not taken for a server."""
    async with running_engine(tmp_path):
        note = (tmp_path / "valkey" / "socket.path").read_bytes()
    (tmp_path / "valkey" / "socket.path").write_bytes(note)
    assert attach(tmp_path) is None


async def test_a_directory_that_cannot_be_used_is_one_clear_error(tmp_path):
    """A file in the folder's place is reported with its path."""
    (tmp_path / "valkey").write_text("")
    with pytest.raises(EmbeddedEngineError, match="valkey"):
        async with attached_or_started(tmp_path, MEMORY):
            pass


async def test_the_shared_engine_is_empty(engine_url):
    """What a test writes is gone in the next one."""
    async with aioredis.from_url(engine_url) as client:
        assert await client.dbsize() == 0
        await client.set("k", "v")


test_the_shared_engine_is_empty_again = test_the_shared_engine_is_empty
