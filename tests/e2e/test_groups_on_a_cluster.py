"""The servers of a Cluster come back empty one by one, while a gateway starts."""

import pytest
from redis.exceptions import RedisError
from support.eventually import eventually
from support.hard import first
from support.servers import cluster
from support.wiped import restart, scene_on

from gateway.store import keys


@pytest.mark.parametrize("emptied", first([0, 1, 2], [0], [1, 2]))
async def test_servers_of_a_cluster_are_emptied(tmp_path, emptied):
    """Some or all masters lose what they had, the register among it or not: nobody misses any of
    it, and the ledger adds up.
    """
    async with cluster(tmp_path / "c") as nodes, scene_on(tmp_path, nodes.url) as place:
        taker, other = await place.gateway("a"), await place.gateway("b")
        await eventually(lambda: _knows_all(nodes, place), within_s=60)
        await place.send(taker, 60)
        await place.arrived()
        await taker.settled()
        for at in emptied:
            await nodes.masters[at].client.flushall()
        await restart(other)
        await place.send(taker, 60)
        await place.send(other, 20)
        await place.arrived()
        await eventually(lambda: _knows_all(nodes, place), within_s=60)
        await place.assert_accounted()


async def _knows_all(nodes, place):
    for one in nodes.masters:
        try:
            return await one.client.hlen(keys.SUBSCRIBERS) == len(place.receivers)
        except RedisError:  # its slot is another one's
            continue
    return False
