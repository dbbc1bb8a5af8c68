"""A worker against a real engine: what arrives, in which order, and what the ledger says."""

import asyncio
import random
from dataclasses import replace

from support.eventually import eventually
from support.streams import (
    QUICK,
    Recorder,
    account,
    assert_balanced,
    delivering,
    event,
    served,
    settled,
)

from gateway.delivery.matching import Matcher
from gateway.engine.engine import Engine
from gateway.options import MatchOptions
from gateway.subscribers.outcome import Delivered, Failed, Reason


async def test_every_event_arrives_once_and_verbatim(engine_url, publisher):
    """Each published event is delivered exactly once, byte for byte, and the ledger says so."""
    recorder = Recorder()
    sent = [event(n, call=f"default:{n % 37}") for n in range(2000)]
    async with delivering(engine_url, served(recorder)):
        await publisher.publish(*sent)
        account = await settled(engine_url)
    assert sorted(recorder.bodies()) == sorted(each.body for each in sent)
    assert account["delivered"] == 2000


async def test_order_per_call_under_random_failures(engine_url, publisher):
    """With `order: call`, an event starts only after the one before it of its call is through,
    however attempts fail; only what went through the slow lane comes late, and says so."""
    seeded = random.Random(7)
    under_way = set()
    seen = {}

    async def answer(attempt):
        call = attempt.meta.call_cid
        number = attempt.body
        if not attempt.late:
            assert call not in under_way
            under_way.add(call)
            await asyncio.sleep(seeded.random() * 0.002)
            under_way.discard(call)
            assert seen.get(call, b"") <= number or number == seen[call]
            seen[call] = number
        dice = seeded.random()
        if dice < 0.2:
            return Failed(Reason.STATUS, status=500)
        if dice < 0.25:
            return Failed(Reason.UNAUTHORIZED, status=401)
        if dice < 0.27:
            return Failed(Reason.REJECTED, status=400)
        return Delivered(200)

    recorder = Recorder(answer)
    sent = [event(1000 + n, call=f"default:{n % 11}") for n in range(600)]
    async with delivering(engine_url, served(recorder, order="call")):
        await publisher.publish(*sent)
        account = await settled(engine_url)
    fresh = [attempt for attempt in recorder.delivered if not attempt.late]
    for call in {each.call_cid for each in sent}:
        bodies = [attempt.body for attempt in fresh if attempt.meta.call_cid == call]
        assert bodies == sorted(bodies)
    assert len(set(recorder.bodies())) == len(recorder.bodies()) == account["delivered"]
    assert account["delivered"] + account["buried"] == 600
    assert account["buried"] > 0
    assert any(attempt.late for attempt in recorder.delivered)


async def test_without_order_a_call_does_not_wait(engine_url, publisher):
    """With `order: none`, events of one call are under way together."""
    recorder = Recorder()
    recorder.gate.clear()
    async with delivering(engine_url, served(recorder, concurrency=8)):
        await publisher.publish(*(event(n) for n in range(20)))
        await eventually(lambda: recorder.running == 8)
        recorder.gate.set()
        await settled(engine_url)
    assert recorder.most_running == 8


async def test_what_is_not_wanted_is_counted_as_unmatched(engine_url, publisher):
    """An event that does not match is settled as unmatched and never attempted."""
    recorder = Recorder()
    matcher = Matcher(MatchOptions(types=("call.recording_*",)))
    async with delivering(engine_url, served(recorder, matcher)):
        await publisher.publish(*(event(n) for n in range(50)))
        await publisher.publish(event(50, kind="call.recording_ready"))
        account = await settled(engine_url)
    assert (account["unmatched"], account["delivered"]) == (50, 1)
    assert len(recorder.attempts) == 1


async def test_a_new_subscriber_starts_from_now_or_from_the_earliest(engine_url, publisher):
    """`start: now` sees only what is published later; `start: earliest` sees all there is."""
    await publisher.publish(*(event(n, call=f"default:{n}") for n in range(30)))
    now, earliest = Recorder(), Recorder()
    async with delivering(
        engine_url, served(now, name="now"), served(earliest, name="all", start="earliest")
    ):
        await publisher.publish(*(event(n, call=f"default:{n}") for n in range(30, 40)))
        await settled(engine_url, "now")
        await settled(engine_url, "all")
    assert len(now.bodies()) == 10
    assert len(earliest.bodies()) == 40


async def test_parked_deliveries_take_at_most_half_of_the_slots(engine_url, publisher):
    """A heap of parked deliveries that are due never runs on more than half of the slots."""
    late_running = most_late = 0
    open_again = False

    async def answer(attempt):
        nonlocal late_running, most_late
        if not open_again:
            return Failed(Reason.UNAUTHORIZED, status=401)
        late_running += attempt.late
        most_late = max(most_late, late_running)
        await asyncio.sleep(0.002)
        late_running -= attempt.late
        return Delivered(200)

    retry = replace(QUICK, slow_first_s=1.0, slow_max_s=1.0)
    recorder = Recorder(answer)
    async with delivering(engine_url, served(recorder, concurrency=8, retry=retry)):
        await publisher.publish(*(event(n, call=f"default:{n}") for n in range(100)))
        engine = Engine(engine_url)
        await eventually(lambda: parked_is(engine, 100))
        open_again = True
        await publisher.publish(*(event(n, call=f"default:{n}") for n in range(100, 200)))
        await settled(engine_url)
        await engine.close()
    assert most_late == 4
    assert all(attempt.late for attempt in recorder.delivered if attempt.number > 1)


async def parked_is(engine, count):
    return (await account(engine))["waiting"]["parked"] == count


async def test_attempts_are_counted_over_both_lanes(engine_url, publisher):
    """The number of an attempt goes on counting from the fast lane through the slow one."""
    recorder = Recorder(
        lambda attempt: Delivered(200) if attempt.number == 5 else Failed(Reason.STATUS, status=503)
    )
    async with delivering(engine_url, served(recorder)):
        await publisher.publish(event(1))
        await settled(engine_url)
    assert [attempt.number for attempt in recorder.attempts] == [1, 2, 3, 4, 5]
    assert [attempt.late for attempt in recorder.attempts] == [False] * 3 + [True] * 2


async def test_a_defect_in_a_subscriber_stops_nothing(engine_url, publisher, caplog):
    """An attempt that raises is a failed attempt; the other deliveries go on."""

    def answer(attempt):
        if attempt.number == 1 and attempt.body.endswith(b'"n":3}'):
            raise ValueError("defect")
        return Delivered(200)

    recorder = Recorder(answer)
    async with delivering(engine_url, served(recorder, order="call")):
        await publisher.publish(*(event(n) for n in range(10)))
        account = await settled(engine_url)
    assert account["delivered"] == 10
    assert "must not" in caplog.text


async def test_a_drained_worker_leaves_the_rest_to_the_next(engine_url, publisher):
    """Draining lets attempts under way end, settles them, and the next holder has the rest at
    once; nothing is lost or delivered twice."""
    recorder = Recorder()
    recorder.gate.clear()
    sent = [event(n, call=f"default:{n}") for n in range(300)]
    async with delivering(engine_url, served(recorder, concurrency=10)) as service:
        await publisher.publish(*sent)
        await eventually(lambda: recorder.running == 10)
        draining = asyncio.create_task(service.drain(60))
        await asyncio.sleep(0)
        recorder.gate.set()
        await draining
    assert len(recorder.delivered) == 10
    await assert_balanced(engine_url)
    after = Recorder()
    async with delivering(engine_url, served(after)):
        await settled(engine_url)
    assert sorted(recorder.bodies() + after.bodies()) == sorted(each.body for each in sent)
