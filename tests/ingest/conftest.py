import pytest
from doorway import WAYS, opened


@pytest.fixture
async def doorway(tmp_path):
    async with opened(tmp_path) as one:
        yield one


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request):
    return request.param
