"""Connections to one port are spread over the workers, however few there are."""

import asyncio
import contextlib
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from support.eventually import eventually
from support.load import Load
from support.running_gateway import running_gateway
from support.webhooks import distinct_event


def held(pid, port):
    """How many open connections to `port` a process has accepted."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    ours = {f"socket:[{one[9]}]" for one in fields if one[1].endswith(f":{port:04X}")}
    established = {f"socket:[{one[9]}]" for one in fields if one[3] == "01"}
    descriptors = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            descriptors.add(os.readlink(path))
    return len(ours & established & descriptors)


async def acked(load, number, streams):
    status, _ = await load._send(streams, distinct_event(number))
    return status


@asynccontextmanager
async def connected(gateway, count, *, at_once):
    """`count` connections, each used for one webhook."""
    load, opened = Load(gateway.port), []
    try:
        if at_once:
            dial = [asyncio.open_connection("127.0.0.1", gateway.port) for _ in range(count)]
            opened += await asyncio.gather(*dial)
            answers = [acked(load, number, one) for number, one in enumerate(opened)]
            assert set(await asyncio.gather(*answers)) == {200}
        while len(opened) < count:
            opened.append(await asyncio.open_connection("127.0.0.1", gateway.port))
            assert await acked(load, len(opened), opened[-1]) == 200
        yield
    finally:
        for _, writer in opened:
            writer.close()


async def spread(gateway, count, *, at_once):
    """How `count` connections are spread over the workers, all of which are awake."""
    pids = list(gateway.workers().values())
    await eventually(lambda: not sum(held(pid, gateway.port) for pid in pids))
    await eventually(lambda: gateway.ask("/readyz"))
    async with connected(gateway, count, at_once=at_once):
        found = [held(pid, gateway.port) for pid in pids]
        assert sum(found) == count
        return found


async def test_connections_are_spread_evenly(tmp_path):
    """Few that come one by one, and many that come at once: no worker has many more."""
    async with running_gateway(tmp_path / "g", server={"workers": 2}) as gateway:
        # A worker that the machine leaves waiting for long misses its turn: not in every round.
        for count, most, at_once in ((8, 5, False), (64, 46, True)):
            rounds = [await spread(gateway, count, at_once=at_once) for _ in range(7)]
            assert median(map(max, rounds)) <= most, rounds


async def silent(gateway, number):
    """Whether it is told that a worker does not answer."""
    said = await gateway.ask("/readyz", status=503)
    return said is not None and f"worker {number}: it does not answer" in said["reasons"]


async def test_a_worker_that_hangs_keeps_no_connection_out(tmp_path):
    """With one of two stopped in its tracks, every new connection is served by the other; in the
    end it is killed and replaced, and what its journal held is published.
    """
    async with running_gateway(tmp_path / "g", server={"workers": 2}) as gateway:
        load = Load(gateway.port)
        await load.run(64, connections=64, first=64)
        stopped = gateway.workers()[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            told = asyncio.create_task(eventually(lambda: silent(gateway, 0)))
            await load.run(64, connections=64)
            assert set(load.statuses) == {200}
            await told
            await eventually(lambda: gateway.workers().get(0, stopped) != stopped, within_s=60)
            assert "a worker hangs: killed" in gateway.log_text
            ledger = await gateway.settled()
            assert ledger["overall"]["published"] == 128
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stopped, signal.SIGCONT)
