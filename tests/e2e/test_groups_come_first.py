"""Redis comes back empty while processes of the gateway start: no subscriber misses any of what the
journals publish again, whoever of them was there first.
"""

import os

import pytest
from support.eventually import eventually
from support.hard import first
from support.wiped import kill_worker, restart, scene

from gateway.engine.engine import Engine
from gateway.store.taking.subscriptions import Subscriptions

LONG = bool(os.environ.get("GATEWAY_LONG"))


# Who there is, and what each layout restarts.


async def split(place):
    taker = await place.gateway("ingest", "--only", "ingest")
    other = await place.gateway("delivery", "--only", "delivery")
    return taker, lambda: restart(other)


async def split_ingest(place):
    taker = await place.gateway("ingest", "--only", "ingest")
    await place.gateway("delivery", "--only", "delivery")
    return taker, lambda: restart(taker)


async def two_gateways(place):
    taker = await place.gateway("a")
    other = await place.gateway("b")
    return taker, lambda: restart(other)


async def alone(place):
    taker = await place.gateway("a")
    return taker, lambda: restart(taker)


async def two_workers(place):
    taker = await place.gateway("a", server={"workers": 2})
    return taker, lambda: kill_worker(taker, 1)


async def new_replica(place):
    taker = await place.gateway("a")

    async def come():
        fresh = await place.gateway("fresh")
        await place.send(fresh, 20)

    return taker, come


LAYOUTS = (split, split_ingest, two_gateways, alone, two_workers, new_replica)


# When.


async def before(place, act):
    await act()
    await place.server.start()


async def accepting(place, act):
    await place.server.start()
    await act()


async def publishing(place, act):
    await place.server.start()
    await eventually(place.has_events, within_s=60)
    await act()


async def registered(place, act):
    await place.server.start()
    await eventually(place.has_subscribers, within_s=60)
    await act()


async def delivered(place, act):
    await place.server.start()
    await place.arrived()
    await act()


MOMENTS = (before, accepting, publishing, registered, delivered)
SHORT = {
    (split, accepting),
    (split_ingest, before),
    (two_gateways, publishing),
    (two_workers, before),
    (new_replica, registered),
}
CASES = [
    pytest.param(
        layout,
        moment,
        id=f"{layout.__name__}-{moment.__name__}",
        marks=[] if moment is accepting else [pytest.mark.hard],
    )
    for layout in LAYOUTS
    for moment in MOMENTS
    if LONG or (layout, moment) in SHORT
]


@pytest.mark.parametrize(("layout", "moment"), CASES)
async def test_a_start_while_redis_comes_back_empty(tmp_path, record_property, layout, moment):
    """Every subscriber gets all that was acknowledged, before and while Redis was away: whatever
    starts, and whenever that is.
    """
    async with scene(tmp_path) as place:
        taker, act = await layout(place)
        await eventually(place.knows_all)
        await place.send(taker, 60)
        await place.arrived()
        await place.wipe()
        await place.send(taker, 60)
        await moment(place, act)
        await place.arrived()
        await place.assert_accounted()
        record_property("came at most", place.most_often())


@pytest.mark.hard
async def test_emptied_twice_in_a_row(tmp_path):
    """A second loss, as soon as the first begins to be healed, costs nothing more."""
    async with scene(tmp_path) as place:
        taker, act = await two_gateways(place)
        await eventually(place.knows_all)
        await place.send(taker, 60)
        await place.arrived()
        await place.wipe()
        await place.send(taker, 60)
        await publishing(place, place.wipe)
        await accepting(place, act)
        await place.arrived()
        await place.assert_accounted()


@pytest.mark.parametrize("first", first("ingest", "delivery"))
async def test_emptied_while_nobody_was_there(tmp_path, first):
    """Redis is emptied while every gateway is down: they know of their subscribers nevertheless, in
    whatever order they come back.
    """
    async with scene(tmp_path) as place:
        gateways = {
            name: await place.gateway(name, "--only", name) for name in ("ingest", "delivery")
        }
        await eventually(place.knows_all)
        await place.send(gateways["ingest"], 60)
        await place.arrived()
        for one in gateways.values():
            await one.kill()
        await place.wipe()
        await place.server.start()
        for name in sorted(gateways, key=lambda name: name != first):
            await gateways[name].start()
            if name == "ingest":
                await eventually(place.has_events, within_s=60)
        await place.send(gateways["ingest"], 20)
        await place.arrived()
        await place.assert_accounted()


async def test_a_pause_outlives_redis(tmp_path):
    """One that is paused when Redis is emptied and its gateway is killed stays paused, and has all of
    it when it is resumed.
    """
    async with scene(tmp_path) as place:
        taker, act = await alone(place)
        await eventually(place.knows_all)
        engine = Engine(place.url)
        try:
            await Subscriptions(engine).pause("third")
            await eventually(lambda: _is_remembered(taker, '"state":"paused"'))
            await act()  # from then on it is paused for certain
            await place.send(taker, 60)
            await place.wipe()
            await place.send(taker, 60)
            await before(place, act)
            third = place.receivers["third"]
            await eventually(lambda: _waits(taker, "third", 120), within_s=60)
            assert not third.bodies
            await Subscriptions(engine).resume("third")
            await place.arrived()
            await place.assert_accounted()
        finally:
            await engine.close()


def _is_remembered(gateway, what):
    return what in (gateway.data / "subscribers.known").read_text()


async def _waits(gateway, name, count):
    ledger = await gateway.ledger()
    account = (ledger or {"subscribers": {}})["subscribers"].get(name)
    return account is not None and account["waiting"]["unread"] == count
