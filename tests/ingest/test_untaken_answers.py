"""Strangers who ask, close, and never take what they are answered: in a listening socket with
hardly any buffer, as much as a few answers then stays with the gateway.
"""

import asyncio
import contextlib
import os
import socket

import pytest
from support.eventually import eventually
from support.load import Load
from support.running_gateway import running_gateway
from support.strangers import BAD_WEBHOOK

PLACES = 12
FEED_JS = b"GET /feed.js HTTP/1.1\r\nHost: x\r\n\r\n"
LAST_WEBHOOK = BAD_WEBHOOK.replace(b"Host: x", b"Host: x\r\nConnection: close")
# What each asks for, how often, and its last words.
UNTAKEN = {
    "no end of a head": (FEED_JS, 4, b"GET /"),
    "the last request": (FEED_JS, 4, FEED_JS.replace(b"Host: x", b"Host: x\r\nConnection: close")),
    "the last webhook": (BAD_WEBHOOK * 30, 5, LAST_WEBHOOK),
}


@contextlib.contextmanager
def small_sockets(port):
    """As many as there are places, in which hardly anything fits."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_small(port)) for _ in range(PLACES)]


def _small(port):
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    one.connect(("127.0.0.1", port))
    one.setblocking(False)
    return one


@contextlib.asynccontextmanager
async def a_gateway(folder, body_timeout):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        server = {"max_connections": PLACES, "header_timeout": "1s", "body_timeout": body_timeout}
        log = [{"name": "console", "kind": "log"}]
        async with running_gateway(
            folder / "g", listening=listening, server=server, subscribers=log
        ) as gateway:
            yield gateway


def files(gateway):
    return len(os.listdir(f"/proc/{gateway.pid}/fd"))


async def ask(gateway, sockets, kind):
    """Have each ask for more than fits into its socket, and then say its last words."""
    asks, times, last_words = UNTAKEN[kind]
    loop = asyncio.get_running_loop()
    said = [asks] * times + [last_words]
    for number, words in enumerate(said, start=1):
        for one in sockets:
            await loop.sock_sendall(one, words)

        async def is_answered(number=number):
            answered = await gateway.metric('gateway_webhooks_total{status="401"}')
            return answered >= PLACES * (30 * min(number, times) + (number > times))

        if asks != FEED_JS:
            await eventually(is_answered)

    async def all_late():
        for one in sockets:
            with contextlib.suppress(OSError):  # it has been ended since
                one.send(b"x")
        return await gateway.metric('gateway_webhooks_total{status="408"}') == PLACES

    if kind == "no end of a head":
        await eventually(all_late)


@pytest.mark.parametrize("kind", UNTAKEN)
async def test_who_takes_no_answers_makes_room(tmp_path, kind):
    """Where all places are held by strangers that ended with their answers untaken, whoever brings
    a webhook has one of them, at once.
    """
    async with a_gateway(tmp_path, "10m") as gateway:
        await gateway.up()
        with small_sockets(gateway.port) as sockets:
            await ask(gateway, sockets, kind)
            assert await gateway.metric("gateway_connections") == PLACES
            load = Load(gateway.port)
            await load.run(PLACES, connections=PLACES)
            assert load.statuses == {200: PLACES}
        ledger = await gateway.settled()
        assert ledger["overall"]["published"] == PLACES
        assert ledger["subscribers"]["console"]["delivered"] == PLACES


@pytest.mark.parametrize("kind", UNTAKEN)
async def test_who_takes_no_answers_is_ended(tmp_path, kind):
    """Answers that are not taken within `server.body_timeout` cost their connection, also where it
    would have ended with them; nothing of it stays open.
    """
    async with a_gateway(tmp_path, "1s") as gateway:
        await gateway.up()
        before = files(gateway)
        with small_sockets(gateway.port) as sockets:
            await ask(gateway, sockets, kind)
            # A few may be opened for something else meanwhile.
            await eventually(lambda: files(gateway) < before + PLACES // 2)
        assert await gateway.metric("gateway_connections") == 0
        ledger = await gateway.settled()
        assert ledger["overall"]["published"] == 0
