"""Who makes room, decided without a clock or a socket."""

from dataclasses import dataclass

from gateway.ingest.eviction import SIGNED_S, YOUNG_S, EvictionRank, by_turn, pace, slowest

NOW = 10_000.0


@dataclass
class One:
    name: str
    standing: EvictionRank | None
    unfinished_bytes: int = 0


def standing(*, idle_s=None, received=None, began_s=5.0, read_s=None, signed_s=None, age_s=300.0):
    """One that is idle for `idle_s`, or has received so much since it began."""
    since_s = idle_s if idle_s is not None else began_s
    return EvictionRank(
        NOW - age_s,
        NOW - since_s,
        received,
        NOW - (read_s if read_s is not None else since_s),
        NOW - signed_s if signed_s is not None else 0.0,
    )


def names(found):
    return [one.name for one, _ in found]


def test_the_order_in_which_room_is_made():
    """Strangers first: the longest idle, then the slowest; then those who signed long ago; those
    who have just come last; never who has signed of late, or is being answered.
    """
    every = [
        One("just signed", standing(idle_s=1, signed_s=1)),
        One("signed a while ago", standing(idle_s=SIGNED_S - 1, signed_s=SIGNED_S - 1)),
        One("signs again", standing(received=10, signed_s=SIGNED_S - 1)),
        One("answered now", None),
        One("just came", standing(idle_s=0.1, age_s=0.1)),
        One("just came and began", standing(received=5, began_s=0.2, age_s=YOUNG_S / 2)),
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
        "idle",
        "spoke a moment ago",
        "slow",
        "fast",
        "signed long ago",
        "signed long ago, unfinished",
        "just came and began",
        "just came",
    ]
    assert names(by_turn(every, NOW, 2)) == ["idle for long", "idle"]


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
