"""Fixtures: the programs that a test may run, by their names."""

import pytest
from kept import kept


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """For each version the environment in which it is found; None for the one that is tested."""
    folder = tmp_path_factory.mktemp("kept")
    found = {one.name: one.unpack_code(folder / one.name) for one in kept()}
    return {"now": None, **found}
