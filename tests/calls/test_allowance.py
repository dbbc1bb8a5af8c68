"""What clients may make, counted by several processes on one Redis."""

import asyncio
import logging
import os
import signal
import time
from collections import Counter

import pytest
from support.engines import supervised

from gateway.calls.allowance import Allowance
from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity
from gateway.engine.engine import Engine
from gateway.metrics import Metrics
from gateway.options import FeedOptions
from gateway.store import keys
from gateway.store.rates import RateStore

CID = "default:room"
ANN = Identity("app", "ann")
SLOW = FeedOptions(
    user_events_per_s=1,
    call_events_per_s=1,
    new_calls_per_s=1,
    new_calls_burst=10,
    guests_per_s=1,
    guests_burst=20,
    user_requests_per_s=1,
)


class Processes:
    """Some, which count together; `refused` by what, `let_in` to whoever asked."""

    def __init__(self, engines, options=SLOW):
        self.metrics = [Metrics() for _ in engines]
        self.each = [
            Allowance(options, RateStore(engine), metrics.too_fast)
            for engine, metrics in zip(engines, self.metrics, strict=True)
        ]
        self.refused = Counter()
        self.began_s = time.monotonic()

    async def let_in(self, times, what):
        """How many of `times` in each process are let in."""
        found = await asyncio.gather(
            *(self._tried(one, what) for one in self.each for _ in range(times))
        )
        return sum(found)

    async def _tried(self, one, what):
        try:
            await what(one)
        except StreamError as error:
            refused = error
        else:
            return True
        assert (refused.code, refused.status) == (9, 429)
        assert refused.retry_after_s >= 1
        self.refused[refused.message] += 1
        return False

    @property
    def since(self):
        """What a rate of one a second has brought since the beginning, at most."""
        return time.monotonic() - self.began_s + 1


@pytest.fixture
async def three(engine_url):
    engines = [Engine(engine_url, timeout_s=60) for _ in range(3)]
    yield Processes(engines)
    for engine in engines:
        await engine.close()


def event_of(who, cid=CID):
    return lambda one: one.event(who, cid)


async def test_all_processes_let_in_what_one_would(three):
    """A user's burst is one burst, a call's, an app's too, in however many processes."""
    assert 30 <= await three.let_in(50, event_of(ANN)) <= 30 + three.since
    crowd = [Identity("app", f"u{n}") for n in range(40)]
    let_in = [await three.let_in(10, event_of(one, "default:crowd")) for one in crowd]
    assert 300 <= sum(let_in) <= 300 + three.since
    server = Identity("app", None)
    assert 300 <= await three.let_in(200, event_of(server, "default:other")) <= 300 + three.since
    makers = [Identity("app", f"m{n}") for n in range(3)]
    made = [await three.let_in(5, lambda one, maker=maker: one.new_call(maker)) for maker in makers]
    assert 10 <= sum(made) <= 10 + three.since
    assert 20 <= await three.let_in(20, lambda one: one.guest("app")) <= 20 + three.since
    assert len(three.refused) == 4


async def test_what_is_refused_is_counted_and_costs_redis_nothing(three, engine):
    """Once Redis has refused, the process does by itself until Redis would not any more."""
    await three.let_in(50, event_of(ANN))
    one, metrics = three.each[0], three.metrics[0]
    (before,) = await engine.everywhere("INFO", "commandstats")
    for _ in range(1000):
        await three._tried(one, event_of(ANN))
    (after,) = await engine.everywhere("INFO", "commandstats")
    asked = calls(after) - calls(before)
    assert asked <= three.since + 1
    assert 'gateway_too_fast_total{bound="user"}' in metrics.render()


def calls(info):
    lines = [line for line in info.decode().splitlines() if line.startswith("cmdstat_evalsha:")]
    return int(lines[0].partition("calls=")[2].partition(",")[0])


async def test_what_a_user_refuses_himself_is_not_the_calls(three):
    """One who is far too fast leaves the others of his call what is theirs."""
    await three.let_in(200, event_of(ANN))
    server = Identity("app", None)
    assert await three.let_in(200, event_of(server)) >= 300 - 30 - three.since


async def test_who_names_are_and_how_long_they_are_kept(three, engine):
    """Users of two apps, or with odd names, are not each other; nothing stays for long."""
    for who in (
        ANN,
        Identity("app2", "ann"),
        Identity("app", "ann{1}\u00e9 :"),
        Identity("a", "p"),
    ):
        assert await three.let_in(20, event_of(who)) >= 30
    names = [name async for name in engine.names("gw:rate:*")]
    assert len(set(names)) == 7
    for name in names:
        assert 0 < await engine.command("PTTL", name) <= 301_000


async def test_a_clock_that_is_set_back_shuts_nobody_out(three, engine):
    """However far ahead a key says that a user is, he waits for one, and what is odd counts new."""
    name = keys.rate("user", "app", "ann")
    await engine.command("SET", name, "9007199254740991")
    assert await three.let_in(1, event_of(ANN)) == 0
    (wait_s,) = {await RateStore(engine).take("user", ("app", "ann"), per_s=1, burst=30)}
    assert 0 < wait_s <= 1


async def test_without_redis_each_process_counts_for_itself(tmp_path, caplog):
    """It is said once, and once when it is over; nobody is refused for it, and none waits."""
    caplog.set_level(logging.INFO)
    async with supervised(tmp_path) as server:
        engine = Engine(server.url)
        alone = Processes([engine])
        assert await alone.let_in(1, event_of(Identity("app", "first"))) == 1
        os.kill(server.pid, signal.SIGSTOP)
        os.kill(server.pid, signal.SIGKILL)
        away, back = "each process counts for itself", "counted in Redis again"
        number = 0
        while back not in caplog.text:
            number += 1
            who = Identity("app", f"u{number}")
            assert await alone.let_in(40, event_of(who, f"default:{number}")) in range(30, 41)
            await asyncio.sleep(0)
        assert caplog.text.count(away) == caplog.text.count(back) == 1
        await engine.close()


async def test_requests_are_each_process_own(three):
    """Their bound is for what a process has to do."""

    async def ask(one):
        one.request(ANN)

    assert 600 <= await three.let_in(300, ask) <= 600 + 3 * three.since


async def test_a_request_about_many_calls_counts_for_more(three):
    """As each of them has to be looked up."""

    async def ask(one):
        one.request(ANN, calls=500)

    assert 3 * 19 <= await three.let_in(100, ask) <= 3 * ((200 + three.since) / 11 + 1)
