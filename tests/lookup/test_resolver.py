"""Names are looked up: once at a time, in threads, and what was answered before stands in."""

import asyncio
import logging
import socket
import subprocess
import sys

import pytest
from support.eventually import eventually
from support.lookups import NO_SUCH_NAME, NOT_NOW, Names, info

from gateway.lookup.known import LookupBounds
from gateway.lookup.resolver import Resolver
from gateway.lookup.threads import ThreadTurns

FOREVER_S = 1e6


@pytest.fixture
def names():
    found = Names()
    yield found
    found.release()


def ask(resolver, host, **more):
    return asyncio.create_task(resolver.addresses(host, 80, **more))


async def test_of_one_name_there_is_one_lookup_which_outlives_who_waits(names):
    """All who ask share it, and when they have given up its answer is still heard."""
    resolver = Resolver(names, patience_s=FOREVER_S)
    waiting = [ask(resolver, "slow") for _ in range(50)]
    await eventually(lambda: names.asked["slow"])
    for one in waiting:
        one.cancel()
    await asyncio.wait(waiting)
    again = ask(resolver, "slow")
    names.says["slow"] = ["10.0.0.1"]
    names.release()
    assert await again == [info("10.0.0.1", 80)]
    assert await resolver.addresses("slow", 443, max_age_s=FOREVER_S) == [info("10.0.0.1", 443)]
    assert names.asked == {"slow": 1}


async def test_dead_names_hold_up_nobody(names):
    """However many hang, for the first time or again, another name is looked up at once."""
    resolver = Resolver(names)
    dead = [f"dead-{number}" for number in range(60)]
    for round_ in (1, 2):
        waiting = [ask(resolver, each) for each in dead]
        await eventually(lambda: sum(names.hanging.values()) >= min(16, len(dead)))
        names.says[f"well-{round_}"] = ["10.0.0.1"]
        assert await resolver.addresses(f"well-{round_}", 80) == [info("10.0.0.1", 80)]
        assert not any(one.done() for one in waiting)
        while not all(one.done() for one in waiting):
            await asyncio.sleep(0.01)
            names.release()
    assert all(names.most_at_once[each] == 1 for each in dead)


async def test_threads_have_a_bound_and_slow_names_a_smaller_one(names):
    """Names that hung the last time take turns, each comes to its own, and nobody has two."""
    turns = ThreadTurns("lookup", most=8, most_slow=2, slow_s=0.0)  # however soon, it hung
    resolver = Resolver(names, turns=turns)
    hosts = [f"host-{number}" for number in range(20)]
    waiting = [ask(resolver, each) for each in hosts]
    await eventually(lambda: sum(names.hanging.values()) == 8)
    await _release_until_done(names, waiting)
    assert names.most_at_once[""] == 8
    names.most_at_once.clear()
    waiting = [ask(resolver, each) for each in hosts]
    await eventually(lambda: sum(names.hanging.values()) == 2)
    await _release_until_done(names, waiting)
    assert names.most_at_once[""] == 2
    assert names.asked == dict.fromkeys(hosts, 2)


async def _release_until_done(names, waiting):
    def released():
        names.release()
        return all(one.done() for one in waiting)

    await eventually(released)
    assert {type(one.exception()) for one in waiting} == {socket.gaierror}


async def test_the_last_known_addresses_are_used_while_a_lookup_hangs(names, caplog):
    """At first after a moment, then at once; it is told once, and once that it is over."""
    caplog.set_level(logging.INFO)
    resolver = Resolver(names, patience_s=FOREVER_S, tell_after_s=FOREVER_S)
    names.says["moves"] = ["10.0.0.1"]
    await resolver.addresses("moves", 80)
    resolver._patience_s, resolver._tell_after_s = 0.05, 0.1
    del names.says["moves"]
    for _ in range(3):
        assert await resolver.addresses("moves", 80) == [info("10.0.0.1", 80)]
    await eventually(lambda: "not answered for" in caplog.text)
    names.release()  # as a time-out
    await eventually(lambda: not names.hanging["moves"])
    assert await resolver.addresses("moves", 80) == [info("10.0.0.1", 80)]
    names.says["moves"] = ["10.0.0.2"]
    names.release()

    async def is_over():  # with a lookup that is answered within the patience
        assert (await resolver.addresses("moves", 80))[0][4][0] in {"10.0.0.1", "10.0.0.2"}
        return "again" in caplog.text

    await eventually(is_over)
    assert await resolver.addresses("moves", 80, max_age_s=FOREVER_S) == [info("10.0.0.2", 80)]
    said = [record.getMessage() for record in caplog.records if "lookup" in record.name]
    assert [line.split(";")[0] for line in said] == [
        "the host name moves is not answered for: its last known addresses are used",
        "the host name moves is answered for again",
    ]


async def test_a_newer_answer_is_never_passed_over(names):
    """Where a name moves, whoever asks next is led there; an old answer is no cache."""
    resolver = Resolver(names, patience_s=FOREVER_S)
    for address in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
        names.says["moves"] = [address]
        assert await resolver.addresses("moves", 80) == [info(address, 80)]


async def test_a_failure_that_passes_is_bridged_and_one_that_stays_is_told(names):
    """What never was answered fails with the system's own words, for each who asks."""
    resolver = Resolver(names, patience_s=FOREVER_S)
    names.says["flaps"] = ["10.0.0.1"]
    await resolver.addresses("flaps", 80)
    names.says["flaps"] = NOT_NOW
    assert await resolver.addresses("flaps", 80) == [info("10.0.0.1", 80)]
    for error in (NOT_NOW, NO_SUCH_NAME):
        names.says["never"] = error
        both = [ask(resolver, "never") for _ in range(2)]
        for one in both:
            with pytest.raises(socket.gaierror, match=error.strerror):
                await one


@pytest.mark.parametrize("gone_after_s", [0.0, FOREVER_S])
async def test_a_name_that_is_said_not_to_exist_is_believed_after_a_while(names, gone_after_s):
    """Before that its last known addresses are used; and it may come back at any time."""
    resolver = Resolver(names, patience_s=FOREVER_S, bounds=LookupBounds(gone_after_s=gone_after_s))
    names.says["zone"] = ["10.0.0.1"]
    await resolver.addresses("zone", 80)
    names.says["zone"] = NO_SUCH_NAME
    if gone_after_s:
        assert await resolver.addresses("zone", 80) == [info("10.0.0.1", 80)]
    else:
        with pytest.raises(socket.gaierror):
            await resolver.addresses("zone", 80)
    names.says["zone"] = ["10.0.0.2"]
    assert await resolver.addresses("zone", 80) == [info("10.0.0.2", 80)]


async def test_last_known_addresses_are_not_kept_for_ever(names):
    """Past their time nothing stands in for an answer."""
    resolver = Resolver(names, patience_s=FOREVER_S, bounds=LookupBounds(kept_s=0.0))
    names.says["old"] = ["10.0.0.1"]
    await resolver.addresses("old", 80)
    names.says["old"] = NOT_NOW
    with pytest.raises(socket.gaierror):
        await resolver.addresses("old", 80)


async def test_a_number_is_no_name(names):
    """In whichever notation, it costs no thread; and what is no name is told at once."""
    resolver = Resolver(names)
    assert [one[4] for one in await resolver.addresses("127.0.0.1", 80)] == [("127.0.0.1", 80)]
    assert [one[4] for one in await resolver.addresses("127.1", 80)] == [("127.0.0.1", 80)]
    assert [one[4] for one in await resolver.addresses("::1", 80)] == [("::1", 80, 0, 0)]
    with pytest.raises(UnicodeError):
        await resolver.addresses("x" * 80, 80)
    assert not names.asked


async def test_the_system_is_asked(tmp_path):
    """Without anything handed in, names are those of this machine."""
    found = await Resolver().addresses("localhost", 80)
    assert {one[4][0] for one in found} <= {"127.0.0.1", "::1"}
    assert found
    with pytest.raises(socket.gaierror):
        await Resolver().addresses("nobody.invalid", 80)


ENDS = """
import asyncio, threading, uvloop
from gateway.lookup.resolver import Resolver

async def main():
    begun = threading.Event()
    def look(asked):
        begun.set()
        threading.Event().wait()
    one = asyncio.create_task(Resolver(look).addresses("hangs", 80))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    one.cancel()

uvloop.run(main())
"""


def test_a_process_ends_while_lookups_hang():
    """Neither the loop's end nor the interpreter's waits for them."""
    subprocess.run([sys.executable, "-c", ENDS], check=True, timeout=120)
