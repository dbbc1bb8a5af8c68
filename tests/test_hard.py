"""What `make test` leaves to `make test-hard`."""

import pytest
from support.hard import first


@pytest.mark.parametrize("case", first("one", "other", "third"))
def test_one_case_of_a_test_is_for_every_day(request, case):
    """The others are hard."""
    assert (request.node.get_closest_marker("hard") is None) == (case == "one")


@pytest.mark.xdist_group("together")
def test_what_may_not_run_at_once_has_one_process(request):
    """With pytest as it is installed, xdist finds the groups that tests are marked with."""
    is_grouped = getattr(request.config.option, "loadgroup", False)  # set by xdist in its processes
    assert request.node.nodeid.endswith("@together") == is_grouped
