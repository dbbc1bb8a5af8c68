"""Who accepts, among those that share a socket: here in one process, so that all are awake alike."""

import asyncio
import os
import socket
from contextlib import asynccontextmanager

import pytest
from support.eventually import eventually

from gateway.ingest.load_sharing import Acceptor, Loads


class Sharing:
    """Acceptors at one port; `taken`: what each of them has accepted."""

    def __init__(self, listening, fd, count):
        self.address = listening.getsockname()
        self.taken = [[] for _ in range(count)]
        self.acceptors = [
            Acceptor(
                listening.dup(),
                Loads(fd, count),
                number,
                connections=lambda mine=mine: len(mine),
                take=mine.append,
                refuse=socket.socket.close,
            )
            for number, mine in enumerate(self.taken)
        ]
        for one in self.acceptors:
            one.start()

    @property
    def counts(self):
        return [len(mine) for mine in self.taken]

    async def all_taken(self, count):
        await eventually(lambda: sum(self.counts) == count)
        return self.counts

    def end(self):
        for one in self.acceptors:
            one.close()
        for one in sum(self.taken, []):
            one.close()


@pytest.fixture
async def sharing(tmp_path):
    with (tmp_path / "loads").open("w+b") as loads, socket.socket() as listening:
        os.truncate(loads.fileno(), Loads.size(2))
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        listening.setblocking(False)
        all_of_them = Sharing(listening, loads.fileno(), 2)
        yield all_of_them
        all_of_them.end()


@asynccontextmanager
async def dialled(sharing, count, *, at_once):
    writers = []
    try:
        for _ in range(count):
            writers.append((await asyncio.open_connection(*sharing.address))[1])
            if not at_once:
                await sharing.all_taken(len(writers))
        yield await sharing.all_taken(count)
    finally:
        for one in writers:
            one.close()


@pytest.mark.parametrize("at_once", [False, True])
async def test_who_has_more_stands_back(sharing, at_once):
    """Of connections that come one by one, and of many at once, each gets about half, though it is
    always the same one that is asked first.
    """
    async with dialled(sharing, 32, at_once=at_once) as counts:
        assert max(counts) <= 20


async def test_what_nobody_takes_is_taken(sharing):
    """By one that stands back, when the other has more room and hangs."""
    hangs = sharing.acceptors[1]
    asyncio.get_running_loop().remove_reader(hangs._listening)
    async with dialled(sharing, 32, at_once=True) as counts:
        assert counts == [32, 0]


async def test_who_has_left_is_not_waited_for(sharing):
    """One that accepts no more has its place taken by the others."""
    sharing.acceptors.pop().close()
    async with dialled(sharing, 8, at_once=False) as counts:
        assert counts == [8, 0]
