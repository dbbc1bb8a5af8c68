"""Real Valkey servers for tests: one shared and flushed, or one of your own to hurt.

`engine_url` is cheap: one server for the whole session (for each xdist worker), emptied before
each test. A test that changes the server itself (kills, freezes, CONFIG SET) starts its own with
`running_engine`.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from gateway.embedded import EmbeddedEngine, find_server
from gateway.embedded.engine import url_of
from gateway.embedded.locks import Lock
from gateway.embedded.server import launch, settings
from gateway.engine.engine import Engine

TEST_MEMORY_BYTES = 256 << 20


@asynccontextmanager
async def supervised(
    data_dir: Path, *, max_memory_bytes: int = TEST_MEMORY_BYTES, ready: bool = True
) -> AsyncIterator[EmbeddedEngine]:
    """A supervised engine of the test's own, with `pid` and `url`, answering already."""
    engine = EmbeddedEngine(data_dir, max_memory_bytes=max_memory_bytes)
    await engine.start()
    try:
        assert not ready or await engine.wait_ready(60), engine.last_words()
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def running_engine(data_dir: Path) -> AsyncIterator[str]:
    """The URL of an engine of the test's own."""
    async with supervised(data_dir) as engine:
        yield engine.url


def inline(path: Path, *commands: bytes) -> list[bytes]:
    """Send commands without a client library, one reply line each. Raises OSError."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(path))
        connection.sendall(b"".join(command + b"\r\n" for command in commands))
        with connection.makefile("rb") as replies:
            return [replies.readline().strip() for _ in commands]


def _wait_until_it_answers(path: Path, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            if inline(path, b"PING") == [b"+PONG"]:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, "the test engine does not answer"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def engine_socket() -> Iterator[Path]:
    """The shared server's socket. Started without an event loop: each test has its own."""
    folder = Path(tempfile.mkdtemp(prefix="gw-test-", dir="/tmp"))
    path = folder / "valkey.sock"
    lock = Lock(folder / "server.lock")
    config = settings(folder=folder, socket=path, max_memory_bytes=TEST_MEMORY_BYTES)
    server = launch(find_server(os.environ), config, log=folder / "valkey.log", lock_fd=lock.fd)
    try:
        _wait_until_it_answers(path)
        yield path
    finally:
        server.kill()
        server.wait()
        lock.close()
        shutil.rmtree(folder)


@pytest.fixture
def engine_url(engine_socket: Path) -> str:
    """The URL of an empty server that other tests use before and after."""
    assert inline(engine_socket, b"FLUSHALL SYNC") == [b"+OK"]
    return url_of(engine_socket)


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    """The door to it, as a gateway has it."""
    engine = Engine(engine_url)
    yield engine
    await engine.close()


@pytest.fixture
async def redis(engine_url: str) -> AsyncIterator[Redis]:
    """A client of it that is not ours."""
    async with Redis.from_url(engine_url) as redis:
        yield redis
