"""The journal on a real file system: from one run to the next, past damage, within its bounds."""

import shutil
import time
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import SMALL, bodies, read_all
from support.events import event
from support.eventually import eventually

from gateway.errors import JournalForeign, JournalFull
from gateway.journal import records, segment
from gateway.journal.disk import Disk
from gateway.journal.journal import Journal
from gateway.metrics import Metrics
from gateway.options import JournalOptions


async def test_goes_on_after_a_restart(opened):
    """Records, numbers and positions carry on where the last run ended."""
    first = opened()
    first.append([event(n) for n in range(100)])
    end, name = first.end, first.id
    second = opened()
    assert (second.end, second.next_number, second.id) == (end, 101, name)
    second.append([event(100)])
    stored, damage = read_all(second)
    assert bodies(stored) == [event(n).body for n in range(101)]
    assert [one.number for one in stored] == list(range(1, 102))
    assert damage == 0
    assert stored[-1].start == end


async def test_tail_and_files_say_the_same(opened):
    """What is read from memory is what is read from disk, in the same places."""
    journal = opened()
    for n in range(50):
        journal.append([event(n)])
    from_files, _ = read_all(journal)
    position, from_tail = journal.start, []
    while position < journal.end:
        chunk = journal.read(position)
        from_tail += chunk.stored
        position = chunk.upto
    assert [one[:3] for one in from_tail] == [one[:3] for one in from_files]
    assert bodies(from_tail) == bodies(from_files)
    assert [one.event.meta for one in from_tail] == [one.event.meta for one in from_files]


async def test_damage_at_every_byte_of_the_last_record(opened, tmp_path):
    """Wherever the last record is damaged, the start goes on, every other record is read, and
    the damage is kept aside.
    """
    first = opened()
    first.append([event(n) for n in range(3)])
    start = read_all(first)[0][2].start
    path = max((tmp_path / "journal").glob("*.journal"))
    whole = path.read_bytes()
    for place in range(segment.HEADER_BYTES + start, len(whole)):
        folder = tmp_path / f"at{place}"
        folder.mkdir()
        broken = bytearray(whole)
        broken[place] ^= 0x40
        (folder / path.name).write_bytes(broken)
        journal = opened(folder=folder)
        journal.append([event(99)])
        stored, damage = read_all(journal)
        assert bodies(stored) == [event(0).body, event(1).body, event(99).body]
        assert damage == 1
        kept = list((folder / "damaged").iterdir())
        assert len(kept) == 1
        assert kept[0].read_bytes() == bytes(broken[segment.HEADER_BYTES + start :])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_round_trip_with_damage_anywhere(data, tmp_path_factory):
    """Whatever bytes are torn off or overwritten, reading ends, and all that is read was written."""
    folder = tmp_path_factory.mktemp("journal")
    count = data.draw(st.integers(1, 30))
    journal = Journal(folder, SMALL, Metrics())
    for n in range(count):
        journal.append([event(n)])
    journal.close()
    path = data.draw(st.sampled_from(sorted(folder.glob("*.journal"))))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    elif content:
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + 8] = data.draw(st.binary(min_size=1, max_size=8))
    path.write_bytes(content)
    again = Journal(folder, SMALL, Metrics())
    again.append([event(1000)])
    stored, _ = read_all(again)
    again.close()
    written = {event(n).body for n in range(count)} | {event(1000).body}
    assert set(bodies(stored)) <= written
    assert bodies(stored)[-1] == event(1000).body
    shutil.rmtree(folder)


async def test_a_damaged_header_costs_no_record(opened, tmp_path):
    """A segment whose header is damaged is still read whole."""
    first = opened()
    first.append([event(n) for n in range(5)])
    path = max((tmp_path / "journal").glob("*.journal"))
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    assert len(read_all(opened())[0]) == 5


async def test_full(opened):
    """Beyond its bound in bytes the journal refuses, and takes again what was published."""
    journal = opened()
    with pytest.raises(JournalFull):
        for n in range(10_000):
            journal.append([event(n)])
    assert journal.size_bytes <= SMALL.max_bytes
    assert journal.is_full
    taken = journal.next_number
    await eventually(lambda: journal.synced == journal.end)
    journal.release(journal.end)
    assert not journal.is_full
    journal.append([event(1)])
    assert journal.next_number == taken + 1


async def test_published_segments_are_kept_for_a_while(opened):
    """A published segment goes only after `keep_s`."""
    journal = opened(JournalOptions(segment_bytes=4096, max_bytes=1 << 20, keep_s=3600))
    for n in range(200):
        journal.append([event(n)])
    await eventually(lambda: journal.synced == journal.end)
    journal.release(journal.end)
    assert journal.start == 0
    assert len(read_all(journal)[0]) == 200


async def test_what_has_to_be_published_again_is_kept(opened):
    """Redis lost what was published longer than `keep_s` ago: it stays until it is there again."""
    journal = opened(JournalOptions(segment_bytes=4096, max_bytes=1 << 20, keep_s=0.05))
    for n in range(200):
        journal.append([event(n)])
    await eventually(lambda: journal.synced == journal.end)
    published = time.monotonic()
    journal.release(journal.end)
    assert journal.start == 0
    await eventually(lambda: time.monotonic() > published + 0.05)
    journal.release(0)
    assert journal.start == 0
    assert len(read_all(journal)[0]) == 200
    published = time.monotonic()
    journal.release(journal.end)
    await eventually(lambda: time.monotonic() > published + 0.05)
    journal.release(journal.end)
    assert journal.start > 0


async def test_what_is_left_over_does_not_hold_the_start(tmp_path):
    """However much is left over, opening reads the last segment alone, and headers."""

    class Counting(Disk):
        bytes_read = 0

        def read(self, fd, length, offset):
            data = super().read(fd, length, offset)
            self.bytes_read += len(data)
            return data

    folder, options = tmp_path / "journal", JournalOptions(segment_bytes=1 << 20)
    journal = Journal(folder, options, Metrics())
    body = b'{"type":"x","pad":"' + b"p" * 50_000 + b'"}'
    for _ in range(80):
        journal.append([event(body=body)] * 8)
    size = journal.size_bytes
    assert size > 32_000_000
    journal.close()
    disk = Counting()
    again = Journal(folder, options, Metrics(), disk=disk)
    assert again.end == size
    assert again.next_number == 80 * 8 + 1
    assert 0 < disk.bytes_read < 2 << 20
    again.close()


async def test_an_empty_last_segment_is_replaced(opened, tmp_path):
    """Opening again and again without an event in between leaves one file, not many."""
    for _ in range(5):
        journal = opened()
    assert len(list((tmp_path / "journal").glob("*.journal"))) == 1
    journal.append([event(1)])
    assert bodies(read_all(opened())[0]) == [event(1).body]


def test_header_sizes():
    """The documented sizes are the real ones."""
    assert segment.HEADER_BYTES == 44
    assert records.HEADER_BYTES == 24


async def test_a_journal_of_another_version_is_not_opened(opened, tmp_path):
    """A file of another format is named and left as it is; nobody takes it for damage."""
    journal = opened()
    journal.append([event(1)])
    journal.close()
    (file,) = (tmp_path / "journal").glob(f"*{segment.SUFFIX}")
    whole = file.read_bytes()
    header = b"GWJRNL02" + whole[8 : segment.HEADER_BYTES - 4]
    file.write_bytes(header + crc32(header).to_bytes(4, "little") + whole[segment.HEADER_BYTES :])
    before = file.read_bytes()
    with pytest.raises(JournalForeign, match=r"GWJRNL02; this version has GWJRNL01"):
        opened()
    assert file.read_bytes() == before
