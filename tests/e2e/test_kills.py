"""Everything that can be killed is killed under load, and the ledger is read afterwards."""

import asyncio
import os
import random
import signal

import pytest
from support.eventually import eventually
from support.hard import first
from support.load import Load
from support.processes import freeze
from support.receiver import running_receiver
from support.running_gateway import running_gateway
from support.verdict import assert_nothing_lost

LONG = bool(os.environ.get("GATEWAY_LONG"))


def subscriber(receiver, **more):
    return {"name": "app", "kind": "http", "url": receiver.url, "order": "call", **more}


@pytest.mark.parametrize("ack", first("journal", "redis"))
async def test_gateway_killed_under_load(tmp_path, ack):
    """kill -9 of the gateway, again and again: nothing acknowledged is lost."""
    rounds = 50 if LONG else 10
    dice = random.Random(7)
    async with running_receiver() as receiver:
        settings = {"ingest": {"ack": ack}, "subscribers": [subscriber(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            sending = asyncio.create_task(load.run(400 * rounds))
            for turn in range(1, rounds + 1):
                await eventually(lambda turn=turn: len(load.acked) > 300 * turn, within_s=60)
                await asyncio.sleep(dice.random() * 0.05)  # anywhere in a tick, a batch, a round
                await gateway.kill()
                await gateway.start()
            await sending
            repeats = await assert_nothing_lost(gateway, load, receiver)
            assert load.statuses[0] >= 1
            assert len(load.acked) == 400 * rounds
            print(f"{rounds} kills, {len(load.acked)} acked, {repeats} delivered again")


@pytest.mark.parametrize("ack", first("journal", "redis"))
@pytest.mark.parametrize("how", first("killed", "frozen"))
async def test_redis_killed_or_frozen_under_load(tmp_path, ack, how):
    """Redis killed or frozen and back: webhooks go on being acked, nothing is lost."""
    async with running_receiver() as receiver:
        settings = {"ingest": {"ack": ack}, "subscribers": [subscriber(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port, pause_s=0.002)
            sending = asyncio.create_task(load.run(1_000_000))
            for turn in (1, 2):
                await eventually(lambda turn=turn: len(load.acked) > 1500 * turn, within_s=60)
                if how == "killed":
                    await gateway.signal_engine(signal.SIGKILL)
                else:
                    pid = await gateway.signal_engine(signal.SIGSTOP)
                    before = len(load.acked)
                    # Long enough for the frozen engine to be given up, and acks to go on.
                    await eventually(
                        lambda before=before: len(load.acked) > before + 200, within_s=60
                    )
                    await eventually(lambda: _away(gateway), within_s=60)
                    os.kill(pid, signal.SIGCONT)
            before = len(load.acked)
            await eventually(lambda: len(load.acked) > before + 500, within_s=60)
            load.stop = True
            await sending
            await assert_nothing_lost(gateway, load, receiver)
            assert set(load.statuses) == {200}


async def _away(gateway):
    return await gateway.metric("gateway_stream_up") == 0


@pytest.mark.parametrize("ack", first("journal", "redis"))
async def test_the_tail_of_the_streams_is_cut_off(tmp_path, ack):
    """An engine that restarts without its newest second is healed from the journal."""
    async with running_receiver() as receiver:
        settings = {"ingest": {"ack": ack}, "subscribers": [subscriber(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            await load.run(1000)
            await gateway.settled()
            log = max(gateway.data.rglob("*.incr.aof"), key=lambda path: path.stat().st_size)
            keep = log.stat().st_size
            await load.run(1000, first=1000)
            await gateway.settled()
            pid = await gateway.signal_engine(signal.SIGSTOP)
            await freeze(pid)  # it writes no more, and nobody starts another before it is dead
            os.truncate(log, keep + 1000)
            os.kill(pid, signal.SIGKILL)
            await load.run(200, first=2000)
            await eventually(lambda: "healing from the journal" in gateway.log_text)
            ledger = await gateway.settled()
            assert ledger["overall"]["published"] == 2200
            assert set(load.acked) == set(receiver.bodies)


async def test_graceful_stop_under_load(tmp_path):
    """SIGTERM under load: what was acked is delivered now or after the next start, once; no
    answer is an error.
    """
    async with running_receiver() as receiver:
        settings = {"subscribers": [subscriber(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            sending = asyncio.create_task(load.run(6000))
            await eventually(lambda: len(load.acked) > 2000, within_s=60)
            assert await gateway.stop() == 0
            await gateway.start()
            await sending
            repeats = await assert_nothing_lost(gateway, load, receiver)
            assert repeats == 0
            assert set(load.statuses) <= {200, 0}


async def test_a_start_with_redis_away_and_a_backlog(tmp_path):
    """The port opens at once although Redis cannot be reached; all is delivered when it can."""
    away = f"unix://{tmp_path}/nothing.sock"
    async with running_receiver() as receiver:
        settings = {"redis": {"url": away}, "subscribers": [subscriber(receiver)]}
        async with running_gateway(tmp_path / "g", **settings) as gateway:
            load = Load(gateway.port)
            await load.run(500)
            await gateway.kill()
            await gateway.start()
            await load.run(500, first=500)
            assert set(load.statuses) == {200}
            await gateway.stop()
            gateway.config["redis"] = {"url": "embedded"}
            await gateway.start()
            await assert_nothing_lost(gateway, load, receiver)
            assert len(load.acked) == 1000
