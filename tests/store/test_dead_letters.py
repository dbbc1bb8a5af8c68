"""The gateway's own dead letters, and ids that are none."""

import pytest
from redis.asyncio import Redis

from gateway.errors import EngineRefused
from gateway.store import keys
from gateway.store.parcels import Parcel, pack, unpack
from gateway.store.taking.dead_letters import DeadLetters


def test_a_parcel_survives_packing():
    """What is packed is read back, and a record of an older gateway too."""
    parcel = Parcel(b"[1]", b"\xff\x00", attempts=3, reason="status", status=500, late=True)
    assert unpack(pack(parcel)) == parcel
    assert unpack(b"\x92\xc4\x01a\xc4\x01b") == Parcel(b"a", b"b")


async def test_the_gateways_own_letters_can_be_purged_and_not_revived(engine, engine_url):
    """A signed body that is no event is shown and purged; reviving it is refused."""
    redis = Redis.from_url(engine_url)
    packed = pack(Parcel(b"[]", b"no json", reason="not_an_event", buried_ms=5))
    await redis.hset(keys.dead(3, keys.GATEWAY), "7-0", packed)
    await redis.zadd(keys.dead_at(3, keys.GATEWAY), {"7-0": 5})
    await redis.hset(keys.subscription(3, keys.GATEWAY), "buried", 1)
    letters = DeadLetters(engine)
    (letter,) = await letters.list(keys.GATEWAY)
    assert (letter.place.id, letter.parcel.body) == ("3:7-0", b"no json")
    with pytest.raises(EngineRefused, match="no events"):
        await letters.revive(keys.GATEWAY)
    assert await letters.purge(keys.GATEWAY, ["3:7-0"]) == 1
    counts = await redis.hmget(keys.subscription(3, keys.GATEWAY), "buried", "discarded")
    await redis.aclose()
    assert counts == [b"0", b"1"]


@pytest.mark.parametrize("letter_id", ["", "3", "x:1-0", "99:1-0", ":1-0", "3:"])
async def test_an_id_that_is_none_is_refused(engine, letter_id):
    """A mistyped id is an error, not a letter that does not exist."""
    with pytest.raises(EngineRefused, match="no id of a dead letter"):
        await DeadLetters(engine).get("sub", letter_id)
