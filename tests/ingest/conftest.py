from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.doorway import WAYS, Doorway, Way, opened

from gateway import native


@pytest.fixture(params=[True, False], ids=["native", "python"])
async def doorway(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Doorway]:
    """One that takes plain requests by the C piece, and one that does not."""
    if request.param and not native.IS_BUILT:
        pytest.skip("the C piece is not built here")
    async with opened(tmp_path, is_native=request.param) as one:
        yield one


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found
