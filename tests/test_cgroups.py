"""What bounds our memory is found, in either version of control groups."""

import pytest
from support.control_groups import mounted

from gateway.cgroups import memory_limit_bytes

V2, V1 = "0::/a/b\n", "5:cpu:/a/b\n4:memory:/a/b\n"
UNBOUND = "9223372036854771712\n"  # version 1's word for it


def found(tmp_path, own, files):
    return memory_limit_bytes(*mounted(tmp_path, own, files))


@pytest.mark.parametrize(
    ("own", "files"),
    [
        (V2, {"a/b/memory.max": "4096\n"}),
        (V2, {"a/b/memory.max": "max\n", "a/memory.max": "4096\n", "memory.max": "8192\n"}),
        (V2, {"a/b/memory.max": "8192\n", "a/b/memory.high": "4096\n"}),
        ("0::/\n", {"memory.max": "4096\n"}),
        ("0::/elsewhere/on/the/host\n", {"memory.max": "4096\n"}),
        (V1, {"memory/a/b/memory.limit_in_bytes": "4096\n"}),
        (V1, {"memory/a/b/memory.limit_in_bytes": UNBOUND, "memory/memory.limit_in_bytes": "4096"}),
    ],
)
def test_the_smallest_limit_counts(tmp_path, own, files):
    """Whichever group sets it, of ours and of those above it."""
    assert found(tmp_path, own, files) == 4096


@pytest.mark.parametrize(
    ("own", "files"),
    [
        (V2, {"a/b/memory.max": "max\n"}),
        (V2, {}),
        (V2, {"a/b/memory.max": "?\n"}),
        (V1, {"memory/a/b/memory.limit_in_bytes": UNBOUND}),
        (V1, {"cpu/a/b/memory.limit_in_bytes": "4096\n"}),
        ("", {}),
    ],
)
def test_nothing_bounds_it(tmp_path, own, files):
    """Then nothing is told, and nothing made smaller."""
    assert found(tmp_path, own, files) is None
