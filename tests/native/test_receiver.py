"""What the C piece does with connections: the plain case alone, and never silence."""

import asyncio
import os
import socket

import pytest
from support.doorway import APPS, FAST, connected, opened, same
from support.eventually import eventually
from support.webhooks import distinct_event, signed_request

from gateway import native
from gateway.ingest.answers import INTERNAL, STORED

pytestmark = pytest.mark.skipif(native.keyring(()) is None, reason="the C piece is not built here")


def good(n):
    body = distinct_event(n)
    return FAST.request(body, signed_request(body))


async def test_plain_requests_never_reach_python(tmp_path, monkeypatch):
    """What the C piece takes it also answers, and it counts what it answered."""

    def unexpected(self, *_):
        raise AssertionError("Python was asked")

    async with opened(tmp_path) as doorway:
        connection = type(await _first_connection(doorway))
        monkeypatch.setattr(connection, "_receive", unexpected)
        monkeypatch.setattr(connection, "resolve", unexpected)
        async with connected(doorway.port) as one, connected(doorway.port) as other:
            for n in range(1, 9):
                same(await (one if n % 2 else other).ask(good(n)), STORED)
        assert doorway.answered(200) == len(doorway.events()) == 9


async def _first_connection(doorway):
    async with connected(doorway.port) as client:
        same(await client.ask(good(0)), STORED)
        (connection,) = doorway.connections
        return connection


async def test_who_does_not_read_loses_no_answer(tmp_path):
    """What the socket does not take waits in the transport, and what comes later behind it."""
    count = 400  # more would not be one piece of the journal
    async with opened(tmp_path, body_timeout_s=60) as doorway:
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            peer.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(peer, ("127.0.0.1", doorway.port))
            await eventually(lambda: len(doorway.connections) == 1)
            (connection,) = doorway.connections
            await eventually(lambda: connection._descriptor >= 0)
            with socket.socket(fileno=os.dup(connection._descriptor)) as ours:
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            waited = 0
            for n in range(count):
                await loop.sock_sendall(peer, good(n))
                while doorway.answered(200) <= n:
                    await asyncio.sleep(0)
                waited = max(waited, connection._transport.get_write_buffer_size())
            assert waited > 4096
            answers = b""
            while answers.count(b"HTTP/1.1 200 OK\r\n") < count or not answers.endswith(b"{}"):
                answers += await loop.sock_recv(peer, 65536)
        # One may be younger than another by a second, and so are their dates.
        assert {answer.partition(b"Date")[0] for answer in answers.split(b"HTTP/1.1 ")[1:]} == {
            b"200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        }
        assert answers.count(b"\r\n\r\n{}") == count == len(doorway.events())


async def test_an_error_of_ours_is_a_503(tmp_path, caplog):
    """Nothing is taken by half: the sender hears of it, and the next request is as good as ever."""
    async with opened(tmp_path) as doorway:
        keyring = native.keyring(APPS)
        around = doorway.listener._shared
        whole, intake = around.receiver, around.intake

        def broken():
            raise RuntimeError("broken on purpose")

        around.receiver = native.receiver(
            keyring,
            around.request_line,
            4096,
            around.max_body_bytes,
            intake.events,
            intake.replies,
            intake.read_ats,
            broken,
            around.counted,
            ("200",),
        )
        async with connected(doorway.port) as client:
            same(await client.ask(good(1)), INTERNAL, close=True)
        assert "broken on purpose" in caplog.text
        around.receiver = whole
        async with connected(doorway.port) as client:
            same(await client.ask(good(1)), STORED)
        assert len(doorway.events()) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: native.receiver(),
        lambda: native.receiver(1, b"", 1, 1, [], [], [], print, {}, ()),
        lambda: native.receiver(native.keyring(()), b"", 1, 1, [], [], [], print, {}, ()),
        lambda: native.answer(None, STORED),
        lambda: native.receive_by(1, STORED),
        lambda: native.receive_by(int, STORED),
    ],
)
def test_nonsense_raises(call):
    """A wrong call is an exception, never a crash."""
    with pytest.raises((TypeError, AttributeError)):
        call()


def test_replies_of_any_kind_are_resolved():
    """Who is not a connection of ours is resolved by its own method, and may fail by it."""

    class Reply:
        def resolve(self, answer):
            self.answer = answer

    replies = [Reply(), Reply()]
    native.answer(replies, STORED)
    assert [reply.answer for reply in replies] == [STORED, STORED]
    with pytest.raises(AttributeError):
        native.answer([object()], STORED)
