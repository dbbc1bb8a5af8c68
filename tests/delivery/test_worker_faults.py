"""Workers and engines that die, freeze, lose their memory: nothing is lost, the ledger adds up."""

import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis
from support.engines import supervised
from support.eventually import eventually
from support.processes import freeze
from support.proxy import proxied
from support.streams import (
    Recorder,
    TestPublisher,
    account,
    assert_balanced,
    delivering,
    event,
    served,
    settled,
)

from gateway.engine.engine import Engine
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.taking.dead_letters import DeadLetters

PROCESS = Path(__file__).parents[1] / "support" / "worker_process.py"


@asynccontextmanager
async def worker_process(url, folder, *, ttl_s=1.0, attempt_s=0.02):
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROCESS), url, str(folder), str(ttl_s), str(attempt_s)
    )
    try:
        await eventually(lambda: lines(folder / "beats", b".") or process.returncode, within_s=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def lines(path, mark=b"\n"):
    return path.read_bytes().count(mark) if path.exists() else 0


def each_in_order(attempts):
    """The first time that each event was begun, per call, must be in order."""
    seen, first = set(), {}
    for body, call in attempts:
        if body not in seen:
            seen.add(body)
            first.setdefault(call, []).append(body)
    return all(bodies == sorted(bodies) for bodies in first.values())


def sample(count, start=1000):
    return [event(start + n, call=f"default:{n % 7}") for n in range(count)]


async def test_a_killed_worker_is_taken_over(engine_url, publisher, tmp_path):
    """After SIGKILL the next holder has everything within the lease: nothing is lost, order per
    call is kept, and what may be repeated is counted."""
    sent = sample(300)
    metrics, recorder = Metrics(), Recorder()
    async with worker_process(engine_url, tmp_path) as process:
        await publisher.publish(*sent)
        await eventually(lambda: lines(tmp_path / "begun") > 40)
        process.kill()
        await process.wait()
    async with delivering(engine_url, served(recorder, order="call"), ttl_s=1.0, metrics=metrics):
        await settled(engine_url)
    begun = (tmp_path / "begun").read_bytes().splitlines()
    assert set(begun) | set(recorder.bodies()) == {each.body for each in sent}
    repeated = len(set(begun)) + len(recorder.bodies()) - len(sent)
    assert repeated <= metrics.repeats.total()
    calls = {each.body: each.call_cid for each in sent}
    assert each_in_order([(body, calls[body]) for body in (*begun, *recorder.bodies())])


async def test_a_frozen_worker_settles_and_starts_nothing_when_it_wakes(
    engine_url, publisher, tmp_path
):
    """A holder frozen past its lease is replaced; awake again it begins no attempt, and the
    ledger counts every event once."""
    sent = sample(300)
    recorder = Recorder()
    async with worker_process(engine_url, tmp_path) as process:
        await publisher.publish(*sent)
        await eventually(lambda: lines(tmp_path / "begun") > 40)
        await freeze(process.pid)
        begun = lines(tmp_path / "begun")
        async with delivering(engine_url, served(recorder, order="call"), ttl_s=1.0):
            account_before = await settled(engine_url)
            beats = lines(tmp_path / "beats", b".")
            process.send_signal(signal.SIGCONT)
            await eventually(lambda: lines(tmp_path / "beats", b".") > beats + 50)
            assert lines(tmp_path / "begun") == begun
            assert await settled(engine_url) == account_before
    assert account_before["delivered"] == 300
    begun_bodies = (tmp_path / "begun").read_bytes().splitlines()
    assert set(begun_bodies) | set(recorder.bodies()) == {each.body for each in sent}


async def test_one_process_with_a_lasting_name_restarts_at_once(engine_url, publisher):
    """A holder of the same name takes its own leases back without waiting for their end."""
    recorder = Recorder()
    recorder.gate.clear()
    async with delivering(engine_url, served(recorder), holder="data-dir", ttl_s=60.0, crash=True):
        await publisher.publish(*sample(20))
        await eventually(lambda: recorder.running == 20)
    again = Recorder()
    async with delivering(engine_url, served(again), holder="data-dir", ttl_s=60.0):
        await settled(engine_url)
    assert len(again.bodies()) == 20


@asynccontextmanager
async def own_engine(folder):
    async with supervised(folder) as engine:
        publisher = TestPublisher(engine.url)
        yield engine, publisher
        await publisher.close()


async def test_engine_killed_during_delivery(tmp_path):
    """SIGKILL of the engine under load: what was published is delivered once it is back."""
    recorder = Recorder(lambda _: slowly())
    sent = sample(400)
    async with own_engine(tmp_path) as (engine, publisher):
        async with delivering(
            engine.url, served(recorder, order="call", concurrency=4), timeout_s=1.0, ttl_s=3.0
        ):
            await publisher.publish(*sent)
            await eventually(lambda: len(recorder.attempts) > 50)
            os.kill(engine.pid, signal.SIGKILL)
            await asyncio.sleep(0)
            account = await settled_when_back(engine)
        assert account["delivered"] == 400
    assert set(recorder.bodies()) == {each.body for each in sent}
    fresh = [(attempt.body, attempt.meta.call_cid) for attempt in recorder.attempts]
    assert each_in_order(fresh)


async def test_engine_frozen_during_delivery(tmp_path):
    """SIGSTOP of the engine past the lease: nothing is started meanwhile that could not be
    settled, everything is delivered afterwards."""
    recorder = Recorder(lambda _: slowly())
    sent = sample(400)
    async with own_engine(tmp_path) as (engine, publisher):
        async with delivering(
            engine.url, served(recorder, order="call", concurrency=4), timeout_s=0.5, ttl_s=1.0
        ):
            await publisher.publish(*sent)
            await eventually(lambda: len(recorder.attempts) > 50)
            os.kill(engine.pid, signal.SIGSTOP)
            before = -1
            # Frozen for longer than the lease: attempts stop by themselves.
            while before != len(recorder.attempts):
                before = len(recorder.attempts)
                await asyncio.sleep(0.6)
            os.kill(engine.pid, signal.SIGCONT)
            account = await settled_when_back(engine)
        assert before < 400
        assert account["delivered"] == 400
    assert set(recorder.bodies()) == {each.body for each in sent}


async def slowly():
    from gateway.subscribers.outcome import Delivered

    await asyncio.sleep(0.01)
    return Delivered(200)


async def settled_when_back(engine):
    probe = Engine(engine.url, timeout_s=1.0)

    async def done():
        try:
            one = await account(probe)
        except Exception:
            return False
        return not any(one["waiting"].values()) and one

    try:
        await eventually(done, within_s=60)
    finally:
        await probe.close()
    return (await assert_balanced(engine.url))["sub"]


async def test_a_full_engine_is_drained(tmp_path):
    """At the engine's memory limit deliveries go on: they are taken, parked, buried, settled."""
    from support.streams import QUICK

    from gateway.subscribers.outcome import Delivered, Failed, Reason

    def answer(attempt):
        number = int(attempt.body.split(b":")[-1].strip(b"} "))
        if number % 10 == 0 and not attempt.late:
            return Failed(Reason.UNAUTHORIZED, status=401)
        return Failed(Reason.REJECTED, status=400) if number % 10 == 1 else Delivered(200)

    recorder = Recorder(answer)
    async with own_engine(tmp_path) as (engine, publisher):
        async with delivering(engine.url, served(recorder, retry=QUICK)):
            pass
        await publisher.publish(*(event(n, call=f"default:{n}") for n in range(500)))
        redis = Redis.from_url(engine.url)
        await redis.config_set("maxmemory", 1)
        async with delivering(engine.url, served(recorder, retry=QUICK)):
            account = await settled(engine.url)
        await redis.config_set("maxmemory", 0)
        await redis.aclose()
    assert account["delivered"] == 450
    assert account["buried"] == 50


async def test_a_destroyed_group_goes_on_where_all_was_settled(engine_url, publisher):
    """XGROUP DESTROY behind our back: the group is made anew from the last settled place, what
    is read again is counted as repeats, and nothing is lost."""
    recorder = Recorder()
    sent = sample(200)
    redis = Redis.from_url(engine_url)
    async with delivering(engine_url, served(recorder), ttl_s=0.6):
        await publisher.publish(*sent[:100])
        await settled(engine_url)
        recorder.gate.clear()
        await publisher.publish(*sent[100:])
        await eventually(lambda: recorder.running == 32)
        for shard in range(keys.SHARDS):
            await redis.execute_command("XGROUP", "DESTROY", keys.events(shard), "sub")
        await eventually(lambda: gone_and_back(redis))
        recorder.gate.set()
        account = await settled(engine_url)
    await redis.aclose()
    assert set(recorder.bodies()) == {each.body for each in sent}
    assert account["delivered"] == account["published"] + account["repeats"]


async def gone_and_back(redis):
    for shard in range(keys.SHARDS):
        if await redis.exists(keys.events(shard)) and not await redis.xinfo_groups(
            keys.events(shard)
        ):
            return False
    return True


async def test_a_flushed_engine_is_read_from_its_beginning(engine_url, publisher):
    """After FLUSHALL the subscriber starts anew at the earliest entry, not at the end."""
    recorder = Recorder()
    redis = Redis.from_url(engine_url)
    async with delivering(engine_url, served(recorder), ttl_s=0.6):
        await publisher.publish(*sample(20))
        await settled(engine_url)
        await redis.flushall()
        await publisher.publish(*sample(30, start=5000))
        await eventually(lambda: len(set(recorder.bodies())) == 50)
        account = await settled(engine_url)
    await redis.aclose()
    assert account["delivered"] == 30
    assert await redis_format(engine_url)


async def redis_format(url):
    redis = Redis.from_url(url)
    try:
        return await redis.get(keys.FORMAT)
    finally:
        await redis.aclose()


async def test_a_lost_script_cache_is_no_trouble(engine_url, publisher):
    """SCRIPT FLUSH costs one more round trip and nothing else."""
    recorder = Recorder()
    redis = Redis.from_url(engine_url)
    async with delivering(engine_url, served(recorder)):
        for n in range(5):
            await redis.script_flush()
            await publisher.publish(*sample(20, start=1000 + 20 * n))
            await settled(engine_url)
    await redis.aclose()
    assert len(recorder.bodies()) == len(set(recorder.bodies())) == 100


async def test_what_somebody_else_writes_to_a_stream_stops_nothing(engine_url, publisher):
    """Entries that are not ours are buried as unreadable, the others are delivered."""
    recorder = Recorder()
    redis = Redis.from_url(engine_url)
    async with delivering(engine_url, served(recorder), ttl_s=0.6):
        await publisher.publish(*sample(10))
        await redis.xadd(keys.events(0), {"a": "1"})
        await publisher.publish(*sample(10, start=5000))
        await eventually(lambda: len(set(recorder.bodies())) == 20)
        engine = Engine(engine_url)
        await eventually(lambda: reasons_are(engine, {"unreadable"}))
        await engine.close()
    await redis.aclose()


async def reasons_are(engine, reasons):
    letters = await DeadLetters(engine).list("sub")
    return {letter.parcel.reason for letter in letters} == reasons


async def test_a_take_that_redis_comes_to_much_later_takes_nothing(tmp_path):
    """A request that we gave up on may still be carried out; by then its token is worthless, so
    it cannot read events that nobody would ever be handed."""
    recorder = Recorder()
    path = tmp_path / "proxy.sock"
    async with (
        own_engine(tmp_path) as (engine, publisher),
        proxied(engine.url.removeprefix("unix://"), path) as proxy,
        delivering(f"unix://{path}", served(recorder), timeout_s=0.3, ttl_s=60.0),
    ):
        await publisher.publish(event(1))
        await settled(engine.url)
        proxy.hold()
        await publisher.publish(event(2))
        await eventually(lambda: len(set(recorder.bodies())) == 2)
        await settled(engine.url)
        assert b"EVALSHA" in proxy.held
        # Frozen, so that the engine finds both when it wakes: first the new event, then the old
        # request, and only later the worker that the event wakes.
        shard = keys.shard_of(event(3).order_key)
        state = await publisher.state(shard)
        os.kill(engine.pid, signal.SIGSTOP)
        publishing = asyncio.create_task(publisher.write(shard, state, [event(3)]))
        await asyncio.sleep(0.05)
        proxy.let_go()
        await asyncio.sleep(0.05)
        os.kill(engine.pid, signal.SIGCONT)
        await publishing
        await eventually(lambda: len(set(recorder.bodies())) == 3)
        account = await settled(engine.url)
    assert account["delivered"] == 3


async def test_draining_does_not_wait_for_an_engine_that_is_away(tmp_path):
    """With Redis frozen a drain ends in its time, and what was not settled waits for the next."""
    recorder = Recorder()
    recorder.gate.clear()
    async with own_engine(tmp_path) as (engine, publisher):
        async with delivering(
            engine.url, served(recorder), timeout_s=0.3, ttl_s=1.0, crash=True
        ) as service:
            await publisher.publish(*sample(10))
            await eventually(lambda: recorder.running == 10)
            os.kill(engine.pid, signal.SIGSTOP)
            recorder.gate.set()
            async with asyncio.timeout(60):  # as long as Redis is away
                await service.drain(1.0)
            os.kill(engine.pid, signal.SIGCONT)
        async with delivering(engine.url, served(recorder), ttl_s=1.0):
            account = await settled(engine.url)
    assert account["delivered"] == 10
