"""What outlives us of what shards have said."""

import os

import pytest

from gateway.journal.disk import Disk
from gateway.journal.ownership import Ownership
from gateway.journal.watermarks import Watermarks

ID, OTHER = "aa" * 16, "bb" * 16


def marks_of(name, folder, disk=None):
    """Those of the journal that is called `name`."""
    disk = disk or Disk()
    return Watermarks(disk, folder, Ownership(disk, folder, name))


def test_they_are_there_again(tmp_path):
    """For the same journal, and for no other; before the first there are none."""
    marks = marks_of(ID, tmp_path)
    assert marks.of(0) == 0
    marks.keep([3, 1 << 60])
    again = marks_of(ID, tmp_path)
    assert [again.of(shard) for shard in range(3)] == [3, 1 << 60, 0]
    assert marks_of(OTHER, tmp_path).of(0) == 0


@pytest.mark.parametrize("cut", [0, 1, 20, 30])
def test_what_is_torn_is_none(tmp_path, cut):
    """A file that is not whole says nothing."""
    marks_of(ID, tmp_path).keep([1, 2])
    os.truncate(tmp_path / "published", cut)
    assert marks_of(ID, tmp_path).of(1) == 0


def test_a_changed_byte_is_noticed(tmp_path):
    """Nor does one that was damaged."""
    marks_of(ID, tmp_path).keep([1, 2])
    content = bytearray((tmp_path / "published").read_bytes())
    content[20] ^= 1
    (tmp_path / "published").write_bytes(content)
    assert marks_of(ID, tmp_path).of(0) == 0


def test_a_disk_that_refuses_costs_nothing_else(tmp_path, caplog):
    """It is logged, and what was kept before is there still."""

    class Full(Disk):
        def create(self, path):
            raise OSError(28, "No space left on device")

    marks_of(ID, tmp_path).keep([5])
    marks_of(ID, tmp_path, Full()).keep([6])
    assert "watermarks are not kept" in caplog.text
    assert marks_of(ID, tmp_path).of(0) == 5
