"""`workers: auto` is by the processors that we may use, not by those that there are."""

import os

import pytest
from support.control_groups import mounted

from gateway.config.processors import processors

V2, V1 = "0::/a/b\n", "5:memory:/a/b\n4:cpu,cpuacct:/a/b\n"
VISIBLE = len(os.sched_getaffinity(0))


def found(tmp_path, own, files):
    return processors(*mounted(tmp_path, own, files))


@pytest.mark.parametrize(
    ("own", "files"),
    [
        (V2, {"a/b/cpu.max": "100000 100000\n"}),
        (V2, {"a/b/cpu.max": "20000 100000\n"}),  # a fifth of one is one
        (V2, {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "100000 100000\n"}),
        ("0::/\n", {"cpu.max": "50000 100000\n"}),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "100000", "cpu/a/b/cpu.cfs_period_us": "100000"}),
        (V1, {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}),
    ],
)
def test_a_quota_of_one_processor(tmp_path, own, files):
    """Whatever group sets it, in either version of control groups: one worker."""
    assert found(tmp_path, own, files) == 1


@pytest.mark.parametrize(
    ("own", "files"),
    [
        (V2, {"a/b/cpu.max": "max 100000\n"}),
        (V2, {"a/b/cpu.max": "99900000 100000\n"}),
        (V2, {}),
        (V1, {"cpu/a/b/cpu.cfs_quota_us": "-1", "cpu/a/b/cpu.cfs_period_us": "100000"}),
        (V1, {"memory/a/b/cpu.cfs_quota_us": "1", "memory/a/b/cpu.cfs_period_us": "1"}),
        ("", {}),
    ],
)
def test_no_quota_that_bounds(tmp_path, own, files):
    """Then it is all that we see."""
    assert found(tmp_path, own, files) == VISIBLE


def test_a_system_without_control_groups(tmp_path):
    """Nothing to read, nothing to fail."""
    assert processors(tmp_path / "none", tmp_path / "none") == VISIBLE
