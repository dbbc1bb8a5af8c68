"""The admin listener's connections, over real sockets."""

import asyncio

import aiohttp
import pytest
from support.eventually import eventually
from support.strangers import room_for, strangers

from gateway.admin.server import AdminServer
from gateway.open_files import ADMIN_FILES
from gateway.options import AdminOptions


class Held:
    """What is shown, once it may be."""

    def __init__(self):
        self.may_answer = asyncio.Event()
        self.asked = 0

    async def metrics(self):
        self.asked += 1
        await self.may_answer.wait()
        return ""

    async def reasons(self):
        return []

    async def ledger(self):
        return {}


@pytest.fixture
def held():
    return Held()


@pytest.fixture
async def server(held):
    server = AdminServer(AdminOptions(port=0), held)
    await server.start()
    yield server
    held.may_answer.set()
    await server.stop()


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.mark.parametrize("first", [b"", HEALTH, HEALTH[:-4]], ids=["silent", "spoke", "half"])
async def test_idle_connections_make_room(server, first):
    """However many there are and whatever they have said: no more than so many stay, and whoever
    comes is answered.
    """
    assert room_for(3 * ADMIN_FILES)
    with strangers(server.port) as some:
        await some.come(3 * ADMIN_FILES, first)
        await eventually(lambda: some.ended() >= 2 * ADMIN_FILES)
        for _ in range(10):
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{server.port}/healthz") as answer,
            ):
                assert answer.status == 200
        assert some.ended() <= 2 * ADMIN_FILES + 10


async def test_who_is_being_answered_makes_no_room(server, held):
    """Where all are, one that comes is told so, and the answers come."""
    with strangers(server.port) as some:
        await some.come(ADMIN_FILES, METRICS)
        await eventually(lambda: held.asked == ADMIN_FILES)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        refusal = await reader.read()
        writer.close()
        head, _, body = refusal.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert f"Content-Length: {len(body)}".encode() in head
        assert body == b'{"error":"too many connections"}'
        assert some.ended() == 0
        held.may_answer.set()

        async def one_is_answered():
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(HEALTH)
            status = await reader.readline()
            writer.close()
            return status.startswith(b"HTTP/1.1 200 ")

        await eventually(one_is_answered)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nbad\0name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: nothing\r\nConnection: close\r\n\r\n",
        HEALTH[:-2] + b"Connection: close\r\n\r\n",
        METRICS.replace(b"127.0.0.1", b"evil.example")[:-2] + b"Connection: close\r\n\r\n",
    ],
)
async def test_no_answer_says_what_gives_it(server, sent, caplog):
    """Whatever is asked, or cannot be parsed: no `Server`, no words of a library, no traceback."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(sent)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.")
    for word in (b"server:", b"aiohttp", b"python", b"traceback"):
        assert word not in answer.lower()
    assert "Traceback" not in caplog.text
