"""The versions that are kept are what runs in these tests, and have left something of each kind."""

import aiohttp
import pytest
from kept import kept
from support.engines import supervised
from support.running_gateway import RunningGateway

from gateway.engine.engine import Engine
from gateway.store.upkeep.ledger import read_ledger

VERSIONS = [pytest.param(one, id=one.name) for one in kept()]
MARK = b"// from the copy that is kept\n"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("version", VERSIONS)
async def test_all_processes_of_it_are_of_it(tmp_path, version, workers):
    """A gateway started as a version that is kept serves that one's files, from its workers too."""
    environ = version.unpack_code(tmp_path / "code")
    served = tmp_path / "code" / "gateway" / "feed" / "static" / "feed.js"
    served.write_bytes(MARK + served.read_bytes())
    gateway = RunningGateway(tmp_path / "g", {"server": {"workers": workers}})
    gateway.environ = environ
    await gateway.start()
    try:
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{gateway.port}/feed.js") as response:
                assert (await response.read()).startswith(MARK)
    finally:
        await gateway.stop()


def test_some_version_is_kept():
    """There is something to upgrade from."""
    assert kept()


@pytest.mark.parametrize("version", VERSIONS)
async def test_something_of_each_kind_is_left(tmp_path, version):
    """The journal has more than Redis; in Redis there is unread, in flight, parked and buried."""
    version.unpack_data(tmp_path)
    told = version.manifest()
    async with supervised(tmp_path) as redis:
        engine = Engine(redis.url)
        ledger = await read_ledger(engine)
        await engine.close()
    (journal,) = ledger["journals"].values()
    assert 0 < journal.count < told["accepted"]
    assert ledger["published"] < len(told["events"])
    accounts = ledger["subscribers"]
    assert accounts["paused"]["waiting"]["unread"] > 0
    assert accounts["shipped"]["waiting"]["in_flight"] > 0
    assert accounts["left"]["waiting"]["in_flight"] > 0
    for name in ("failing", "left", "closed"):
        assert accounts[name]["waiting"]["parked"] > 0
    assert accounts["refusing"]["buried"] == len(told["letters"]["refusing"])
    assert accounts["refusing"]["discarded"] == len(told["purged"]["refusing"])
    assert accounts["picky"]["unmatched"] > 0
    assert accounts["shipped"]["delivered"] == len(told["delivered"]["shipped"])
