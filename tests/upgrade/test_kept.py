"""The versions that are kept are what runs in these tests, and not the one that is tested."""

import aiohttp
import pytest
from kept import kept
from support.running_gateway import RunningGateway

MARK = b"// from the copy that is kept\n"


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("version", [pytest.param(one, id=one.name) for one in kept()])
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
