"""The journal on disks that refuse: full, broken, or only one file of them."""

import errno
import os

import pytest
from journals import bodies, read_all
from support.events import event
from support.eventually import eventually
from support.within import small_disk

from gateway.errors import JournalFailed, JournalFull
from gateway.journal.disk import Disk
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import JournalOptions


class BreakingDisk(Disk):
    """The real disk, until it is told to break."""

    def __init__(self):
        self.write_error = self.sync_error = 0
        self.part = 0

    def write(self, fd, data):
        if self.write_error:
            if self.part:
                self.part, part = 0, self.part
                return os.write(fd, data[:part])
            raise OSError(self.write_error, os.strerror(self.write_error))
        return super().write(fd, data)

    def datasync(self, fd):
        if self.sync_error:
            raise OSError(self.sync_error, os.strerror(self.sync_error))
        super().datasync(fd)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("part", [0, 1, 30, 60])
async def test_a_refused_write_leaves_nothing_behind(opened, code, part):
    """A write that fails, even half way, is taken back whole; the next one counts."""
    disk = BreakingDisk()
    journal = opened(disk=disk)
    journal.append([event(0)])
    disk.write_error, disk.part = code, part
    with pytest.raises(JournalFailed):
        journal.append([event(1)])
    disk.write_error = 0
    journal.append([event(2)])
    stored, damage = read_all(journal)
    assert bodies(stored) == [event(0).body, event(2).body]
    assert damage == 0
    assert [one.number for one in stored] == [1, 2]


async def test_records_of_a_failed_sync_are_written_anew(opened, tmp_path):
    """After a failed fdatasync its segment is left alone, and its records stand in a new one,
    at the same positions.
    """
    disk = BreakingDisk()
    journal = opened(disk=disk)
    journal.append([event(0)])
    await eventually(lambda: journal.synced == journal.end)
    before = set((tmp_path / "journal").glob("*.journal"))
    disk.sync_error = errno.EIO
    journal.append([event(1), event(2)])
    end = journal.end
    await eventually(lambda: journal._metrics.journal_failures.values.get(("fdatasync",)))
    disk.sync_error = 0
    journal.append([event(3)])
    await eventually(lambda: journal.synced == journal.end)
    assert set((tmp_path / "journal").glob("*.journal")) - before
    again = opened()
    stored, damage = read_all(again)
    assert bodies(stored) == [event(n).body for n in range(4)]
    assert stored[2].end == end
    assert damage == 0


async def test_a_failed_sync_of_a_segment_that_is_full(opened, tmp_path):
    """Its records are written anew too, before anything behind them counts as synced."""

    class OneFileBreaks(Disk):
        broken = -1
        syncs = 0

        def datasync(self, fd):
            if fd == self.broken:
                self.syncs += 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().datasync(fd)

    disk = OneFileBreaks()
    journal = opened(disk=disk)
    journal.append([event(0)])
    await eventually(lambda: journal.synced == journal.end)
    start, old = journal.end, journal._files.last
    disk.broken = old.fd
    count = 1
    while journal._files.last is old:  # all within one turn of the loop: nobody has rescued yet
        journal.append([event(count)])
        count += 1
    assert journal.synced == start
    await eventually(lambda: journal.synced == journal.end)
    assert disk.syncs == 1
    assert old.end == start
    assert len(journal._files) == 3
    stored, damage = read_all(opened())
    assert bodies(stored) == [event(n).body for n in range(count)]
    assert [one.number for one in stored] == list(range(1, count + 1))
    assert damage == 0


async def test_a_segment_that_breaks_in_two_ways_is_rescued_once(opened):
    """A write that cannot be taken back, of a file whose sync has failed as well: what was written
    anew stays where it is.
    """

    class Breaks(Disk):
        writes, fails = True, -1

        def write(self, fd, data):
            if fd == self.fails and not self.writes:
                os.write(fd, data[:10])
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().write(fd, data)

        def truncate(self, fd, length):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        def datasync(self, fd):
            if fd == self.fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().datasync(fd)

    disk = Breaks()
    journal = opened(disk=disk)
    journal.append([event(0)])
    await eventually(lambda: journal.synced == journal.end)
    disk.fails = journal._files.last.fd
    journal.append([event(1)])
    disk.writes = False
    with pytest.raises(JournalFailed):
        journal.append([event(2)])
    while not journal._reports:  # within this turn of the loop: nobody has looked at it yet
        os.sched_yield()
    journal.append([event(3)])
    await eventually(lambda: journal.synced == journal.end)
    stored, damage = read_all(opened())
    assert bodies(stored) == [event(n).body for n in (0, 1, 3)]
    assert [one.number for one in stored] == [1, 2, 3]
    assert damage == 0


async def test_a_file_that_cannot_be_removed_makes_room(opened):
    """The disk keeps it; to the journal it is gone, and what comes is taken again."""

    class Sticky(Disk):
        def remove(self, path):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES), path)

    journal = opened(disk=Sticky())
    with pytest.raises(JournalFull):
        for n in range(10_000):
            journal.append([event(n)])
    await eventually(lambda: journal.synced == journal.end)
    with pytest.raises(OSError, match="denied"):
        journal.release(journal.end)
    assert not journal.is_full
    journal.append([event(1)])


async def test_a_disk_that_is_really_full():
    """On a file system without space left the journal refuses, and goes on when there is some."""
    with small_disk(256 << 10) as small:
        filler = small / "filler"
        journal = Journal(small / "journal", JournalOptions(), Metrics())
        journal.append([event(0)])
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
            while True:
                file.write(bytes(4096))
        body = b'{"type":"x","pad":"' + b"p" * 9000 + b'"}'
        with pytest.raises(JournalFailed):
            journal.append([event(body=body)])
        filler.unlink()
        journal.append([event(2)])
        await eventually(lambda: journal.synced == journal.end)
        assert bodies(read_all(journal)[0]) == [event(0).body, event(2).body]
        journal.close()
