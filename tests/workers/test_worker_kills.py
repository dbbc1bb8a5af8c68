"""Workers on one port, killed and ended under load; the ledger is read afterwards."""

import asyncio
import os
import signal

import pytest
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.receiver import running_receiver
from support.running_gateway import running_gateway


def settings(receiver, workers=2, **more):
    to = {"name": "app", "kind": "http", "url": receiver.url, "order": "call"}
    return {"server": {"workers": workers, "drain": "30s"}, "subscribers": [to], **more}


async def all_serve(gateway, workers=2):
    await eventually(lambda: _serving(gateway, workers), within_s=60)


async def _serving(gateway, workers):
    return await gateway.metric("gateway_workers") == workers


async def replaced(gateway, number, pid):
    """Wait until another process is worker `number`, and all serve."""
    await eventually(lambda: gateway.workers().get(number, pid) != pid, within_s=60)
    await all_serve(gateway)


async def assert_nothing_lost(gateway, load, receiver):
    """Every acked event was delivered; return how many twice."""
    ledger = await gateway.settled()
    delivered = receiver.bodies
    lost = set(load.acked) - set(delivered)
    assert not lost, f"{len(lost)} of {len(load.acked)} acked events lost"
    account = ledger["subscribers"]["app"]
    assert account["delivered"] == ledger["overall"]["published"] == len(set(delivered))
    return len(delivered) - len(set(delivered))


@pytest.mark.parametrize("ack", first("journal", "redis"))
async def test_a_worker_killed_under_load(tmp_path, ack):
    """kill -9 of either worker, again and again: no connection is refused, nothing acknowledged
    is lost, the ledger over both journals adds up.
    """
    async with running_receiver() as receiver:
        config = settings(receiver, ingest={"ack": ack})
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port, pause_s=0.002)
            sending = asyncio.create_task(load.run(1_000_000))
            for turn in range(1, 5):
                await eventually(lambda turn=turn: len(load.acked) > 300 * turn, within_s=60)
                number = turn % 2
                pid = gateway.workers()[number]
                os.kill(pid, signal.SIGKILL)
                await replaced(gateway, number, pid)
            before = len(load.acked)
            await eventually(lambda: len(load.acked) > before + 300, within_s=60)
            load.stop = True
            await sending
            repeats = await assert_nothing_lost(gateway, load, receiver)
            assert load.refused == 0
            assert await gateway.metric("gateway_worker_ends_total") == 4
            print(f"4 kills, {len(load.acked)} acked, {repeats} delivered again")


async def test_a_worker_told_to_end_is_replaced_and_nothing_repeats(tmp_path):
    """SIGTERM of one worker after the other: each drains, no answer is an error."""
    async with running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", **settings(receiver)) as gateway:
            load = Load(gateway.port, pause_s=0.002)
            sending = asyncio.create_task(load.run(1_000_000))
            for number in (0, 1):
                before = len(load.acked)
                await eventually(lambda before=before: len(load.acked) > before + 300, within_s=60)
                pid = gateway.workers()[number]
                os.kill(pid, signal.SIGTERM)
                await replaced(gateway, number, pid)
            load.stop = True
            await sending
            assert await assert_nothing_lost(gateway, load, receiver) == 0
            assert load.refused == 0
            assert set(load.statuses) <= {200, 0}  # 0: sent as the connection was being closed


async def test_the_supervisor_killed(tmp_path):
    """kill -9 of the supervisor ends the workers too; the next gateway has the port, the
    directory and both journals.
    """
    async with running_receiver() as receiver:
        async with running_gateway(tmp_path / "g", **settings(receiver)) as gateway:
            load = Load(gateway.port)
            sending = asyncio.create_task(load.run(2000))
            await eventually(lambda: len(load.acked) > 500, within_s=60)
            workers = gateway.workers().values()
            await gateway.kill()
            await eventually(lambda: not any(_lives(pid) for pid in workers), within_s=60)
            await gateway.start()
            await sending
            await assert_nothing_lost(gateway, load, receiver)
            assert len(load.acked) == 2000


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_journals_of_workers_that_there_are_no_longer(tmp_path):
    """Fewer workers than before: what the others' journals still hold is published, and counted."""
    away = {"url": f"unix://{tmp_path}/nobody.sock"}
    async with running_receiver() as receiver:
        config = settings(receiver, workers=3, redis=away)
        async with running_gateway(tmp_path / "g", **config) as gateway:
            load = Load(gateway.port)
            await load.run(900, connections=24)
            assert (await gateway.ask("/ledger")) is None
            await gateway.stop()
            written = [folder.name for folder in (gateway.data / "journal").iterdir()]
            assert sorted(written) == ["0", "1", "2"]
            gateway.config["server"]["workers"] = 1
            gateway.config["redis"] = {"url": "embedded"}
            await gateway.start()
            await assert_nothing_lost(gateway, load, receiver)
            assert (await gateway.ledger())["overall"]["accepted"] == 900
