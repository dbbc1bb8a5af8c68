"""Who makes room, decided without a clock or a socket."""

from dataclasses import dataclass

from gateway.ingest.eviction import (
    HANDSHAKE_S,
    SIGNED_S,
    YOUNG_S,
    EvictionRank,
    by_turn,
    pace,
    slowest,
)

NOW = 10_000.0


@dataclass
class One:
    name: str
    standing: EvictionRank | None
    unfinished_bytes: int = 0


def standing(
    *, idle_s=None, received=None, began_s=5.0, read_s=None, signed_s=None, age_s=300.0, **more
):
    """One that is idle for `idle_s`, or has received so much since it began."""
    since_s = idle_s if idle_s is not None else began_s
    return EvictionRank(
        NOW - age_s,
        NOW - since_s,
        received,
        NOW - (read_s if read_s is not None else since_s),
        NOW - signed_s if signed_s is not None else 0.0,
        **more,
    )


def names(found):
    return [one.name for one, _ in found]


def test_the_order_in_which_room_is_made():
    """Strangers first: the longest idle, then the slowest, then those who have just come, then
    those who are being answered; then those who signed long ago; never who has signed of late, or
    is being answered after it.
    """
    every = [
        One("just signed", standing(idle_s=1, signed_s=1)),
        One("signed a while ago", standing(idle_s=SIGNED_S - 1, signed_s=SIGNED_S - 1)),
        One("signs again", standing(received=10, signed_s=SIGNED_S - 1)),
        One("answered now", None),
        One("signed long ago, answered now", standing(idle_s=0, signed_s=SIGNED_S + 1, busy=True)),
        One("a stranger, answered now", standing(idle_s=0, busy=True)),
        One("just came", standing(idle_s=0.1, age_s=0.1, unheard=True)),
        One("came before", standing(idle_s=0.2, age_s=0.2, unheard=True)),
        One("never said a word", standing(idle_s=100, age_s=100, unheard=True)),
        One("just came, began and halted", standing(received=5, began_s=0.2, age_s=0.2)),
        One("just came and spoke", standing(idle_s=0.05, age_s=0.06)),
        One("signed long ago", standing(idle_s=SIGNED_S + 1, signed_s=SIGNED_S + 1)),
        One("signed long ago, unfinished", standing(received=9, signed_s=SIGNED_S + 1)),
        One("fast", standing(received=1_000_000, read_s=0)),
        One("slow", standing(received=1_000, read_s=0)),
        One("spoke a moment ago", standing(idle_s=0.1)),
        One("idle for long", standing(idle_s=299)),
        One("idle", standing(idle_s=30)),
    ]
    assert names(by_turn(every, NOW, 100)) == [
        "idle for long",
        "never said a word",
        "idle",
        "spoke a moment ago",
        "just came and spoke",
        "just came, began and halted",
        "slow",
        "fast",
        "came before",
        "just came",
        "a stranger, answered now",
        "signed long ago",
        "signed long ago, unfinished",
    ]
    assert names(by_turn(every, NOW, 2)) == ["idle for long", "never said a word"]


def test_a_handshake_has_its_time():
    """However many come: whoever was not heard yet is left alone for as long as it takes."""
    every = [
        One("in its handshake", standing(idle_s=0.1, age_s=HANDSHAKE_S / 2, unheard=True)),
        One("had its time", standing(idle_s=0.3, age_s=HANDSHAKE_S * 1.1, unheard=True)),
        One("spoke", standing(idle_s=0.05, age_s=HANDSHAKE_S / 2)),
    ]
    assert names(by_turn(every, NOW, 9, HANDSHAKE_S)) == ["spoke", "had its time"]
    assert YOUNG_S > HANDSHAKE_S


def test_a_request_that_has_come_to_a_halt_is_slow():
    """However much came at once: what counts is when the next piece would be there."""
    halted = standing(received=1 << 20, began_s=0.9, read_s=0.8)
    flowing = standing(received=1 << 18, began_s=0.5, read_s=0.001)
    assert pace(halted, NOW) < pace(flowing, NOW)


def test_the_slowest_strangers_end_until_the_rest_fits():
    """No more than needed, the slowest first, and nobody who has ever brought a signed request."""

    def held(name, size, **more):
        return One(name, standing(received=size, **more), size)

    every = [
        held("signed", 500_000, read_s=5, signed_s=3_600),
        held("flows", 300_000, began_s=0.1, read_s=0),
        held("halted", 300_000, began_s=0.1, read_s=0.09),
        held("drips", 100_000, began_s=9, read_s=0),
        One("answered now", None, 200_000),
    ]
    assert [one.name for one in slowest(every, NOW, 1_400_000)] == []
    assert [one.name for one in slowest(every, NOW, 1_300_000)] == ["drips"]
    assert [one.name for one in slowest(every, NOW, 1_100_000)] == ["drips", "halted"]
    assert [one.name for one in slowest(every, NOW, 0)] == ["drips", "halted", "flows"]
