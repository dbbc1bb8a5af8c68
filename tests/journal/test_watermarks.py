"""What outlives us of what shards have said."""

import os

import pytest

from gateway.journal.disk import Disk
from gateway.journal.watermarks import Watermarks

ID, OTHER = b"a" * 16, b"b" * 16


def test_they_are_there_again(tmp_path):
    """For the same journal, and for no other; before the first there are none."""
    marks = Watermarks(Disk(), tmp_path, ID)
    assert marks.of(0) == 0
    marks.keep([3, 1 << 60])
    again = Watermarks(Disk(), tmp_path, ID)
    assert [again.of(shard) for shard in range(3)] == [3, 1 << 60, 0]
    assert Watermarks(Disk(), tmp_path, OTHER).of(0) == 0


@pytest.mark.parametrize("cut", [0, 1, 20, 30])
def test_what_is_torn_is_none(tmp_path, cut):
    """A file that is not whole says nothing."""
    Watermarks(Disk(), tmp_path, ID).keep([1, 2])
    os.truncate(tmp_path / "published", cut)
    assert Watermarks(Disk(), tmp_path, ID).of(1) == 0


def test_a_changed_byte_is_noticed(tmp_path):
    """Nor does one that was damaged."""
    Watermarks(Disk(), tmp_path, ID).keep([1, 2])
    content = bytearray((tmp_path / "published").read_bytes())
    content[20] ^= 1
    (tmp_path / "published").write_bytes(content)
    assert Watermarks(Disk(), tmp_path, ID).of(0) == 0


def test_a_disk_that_refuses_costs_nothing_else(tmp_path, caplog):
    """It is logged, and what was kept before is there still."""

    class Full(Disk):
        def create(self, path):
            raise OSError(28, "No space left on device")

    Watermarks(Disk(), tmp_path, ID).keep([5])
    Watermarks(Full(), tmp_path, ID).keep([6])
    assert "watermarks are not kept" in caplog.text
    assert Watermarks(Disk(), tmp_path, ID).of(0) == 5
