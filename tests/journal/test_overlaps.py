"""Files of the journal that claim the same positions, and the file that says whose it is."""

import os
import shutil
from itertools import pairwise

import pytest
from journals import bodies, read_all
from support.events import event

from gateway.errors import JournalTaken
from gateway.journal import records, segment
from gateway.journal.disk import Disk
from gateway.journal.ownership import Ownership
from gateway.journal.peek import look
from gateway.options import JournalOptions

SMALL = JournalOptions(segment_bytes=2048, max_bytes=1 << 20, keep_s=0)


def numbered(first, count):
    return [event(n) for n in range(first, first + count)]


def files(folder):
    return sorted(folder.glob("*.journal"))


def append_one_by_one(journal, events):
    for each in events:
        journal.append([each])


@pytest.mark.parametrize("kept", ["its header", "its name"])
async def test_a_move_of_a_version_before_of_which_half_is_lost(opened, tmp_path, kept):
    """Where a file's name and its header say different places, the higher one is right: versions
    before moved files on, header first, and the machine may have died between the two.
    """
    journal = opened(options=SMALL)
    append_one_by_one(journal, numbered(0, 30))
    opened.end(journal)
    folder, last = tmp_path / "journal", files(tmp_path / "journal")[-1]
    base, delta = int(last.stem), 5000
    moved = folder / f"{base + delta:020d}.journal"
    fd = os.open(last, os.O_RDWR)
    header = os.pread(fd, segment.HEADER_BYTES, 0)
    if kept == "its header":
        _, journal_id, _, number = segment._HEADER.unpack_from(header)
        fresh = segment._HEADER.pack(segment.MAGIC, journal_id, base + delta, number)
        os.pwrite(fd, fresh + segment._CRC.pack(segment.crc32(fresh)), 0)
    else:
        last.rename(moved)
    os.close(fd)
    again = opened(options=SMALL)
    assert moved.exists()
    assert not last.exists()
    stored, damage = read_all(again)
    assert bodies(stored) == [each.body for each in numbered(0, 30)]
    assert damage == 0
    assert [one.number for one in stored] == list(range(1, 31))
    assert all(one.end <= other.start for one, other in pairwise(stored))
    assert again.id == journal.id


@pytest.mark.parametrize("back", [1, 400, 1500, 100_000])
async def test_two_files_that_overlap(opened, tmp_path, back):
    """A file that begins before the one before it ends, as after a rename that was lost: every record
    of either is there, and none of them stands twice.
    """
    journal = opened(options=SMALL)
    append_one_by_one(journal, numbered(0, 30))
    opened.end(journal)
    folder = tmp_path / "journal"
    first, *_, last = files(folder)
    base = max(int(first.stem) + 1, int(last.stem) - back)
    fd = os.open(last, os.O_RDWR)
    _, journal_id, _, number = segment._HEADER.unpack_from(os.pread(fd, segment.HEADER_BYTES, 0))
    header = segment._HEADER.pack(segment.MAGIC, journal_id, base, number)
    os.pwrite(fd, header + segment._CRC.pack(segment.crc32(header)), 0)
    os.close(fd)
    last.rename(folder / f"{base:020d}.journal")
    for _ in range(2):  # and it stays so
        again = opened(options=SMALL)
        stored, _ = read_all(again)
        wanted = sorted(each.body for each in numbered(0, 30))
        assert sorted(set(bodies(stored))) == wanted
        assert len(stored) == 30
        opened.end(again)


async def test_what_was_written_anew_is_not_appended_again(opened, tmp_path):
    """Records that a failed sync had written anew into the next file are there once."""
    journal = opened(options=SMALL)
    append_one_by_one(journal, numbered(0, 4))
    journal._files.replace(journal._files.last, journal.start, 1)
    journal.append([event(4)])
    opened.end(journal)
    again = opened(options=SMALL)
    stored, _ = read_all(again)
    assert bodies(stored) == [each.body for each in numbered(0, 5)]
    assert again.next_number == 6


async def test_hidden_records_and_a_journal_without_room(opened, tmp_path, caplog):
    """Where they cannot be appended they stay where they are, it is told, and the next start that
    has room appends them.
    """
    options = JournalOptions(segment_bytes=2048, max_bytes=1 << 20, keep_s=0)
    journal = opened(options=options)
    append_one_by_one(journal, numbered(0, 20))
    opened.end(journal)
    folder = tmp_path / "journal"
    *_, before, last = files(folder)
    other = before.read_bytes()
    with before.open("ab") as file:  # what another hand had appended there
        number = records.decode(last.read_bytes(), segment.HEADER_BYTES).number
        file.write(records.encode(number, event(77).meta, event(77).body))
    assert before.read_bytes() != other
    size = sum(int(path.stat().st_size) for path in files(folder))
    full = opened(options=JournalOptions(segment_bytes=2048, max_bytes=size - 1000, keep_s=0))
    assert "the next start tries again" in caplog.text
    opened.end(full)
    again = opened(options=options)
    stored, _ = read_all(again)
    assert sorted(bodies(stored)) == sorted(each.body for each in [*numbered(0, 20), event(77)])


async def test_another_hand_in_the_folder_is_noticed(opened, tmp_path):
    """Who opened the folder first appends nothing any more and removes nothing, and still reads what
    it had appended, also what the other does not see.
    """
    one = opened(options=SMALL)
    one.append([event(1)])
    assert one.look()
    other = opened(options=SMALL)
    one.append([event(2)])
    assert not one.look()
    assert one.is_taken
    with pytest.raises(JournalTaken):
        one.append([event(3)])
    there = set(files(tmp_path / "journal"))
    one.release(one.end)
    one.watermarks.keep([one.end] * 8)
    one.ownership.expect()
    assert set(files(tmp_path / "journal")) == there
    stored, _ = read_all(one)
    assert bodies(stored) == [event(1).body, event(2).body]
    assert other.look()
    other.append([event(4)])
    assert other.watermarks.of(0) == 0


async def test_a_first_hand_that_has_not_looked_yet(opened, tmp_path):
    """Who opened the folder first, whatever he does before he next looks, takes no file away from
    who has it now, and does not say that it is his again.
    """
    one = opened(options=SMALL)
    one.append([event(1)])
    other = opened(options=SMALL)
    other.append([event(2)])
    one.rename([0] * 8, one.end)
    one.ownership.expect()
    assert other.look()
    assert one.is_taken
    opened.end(one)
    opened.end(other)
    stored, _ = read_all(opened(options=SMALL))
    assert bodies(stored) == [event(1).body, event(2).body]


async def test_a_first_hand_that_had_appended_nothing(opened, tmp_path):
    """What he appends before he looks is found by the next start, also where his file was empty."""
    one = opened(options=SMALL)
    other = opened(options=SMALL)
    one.append([event(1)])
    other.append([event(2)])
    opened.end(one)
    opened.end(other)
    for _ in range(3):
        again = opened(options=SMALL)
        stored, _ = read_all(again)
        assert sorted(bodies(stored)) == sorted(event(n).body for n in (1, 2))
        opened.end(again)


async def test_starts_that_nothing_follows(opened, tmp_path):
    """They leave no more files behind than one did."""
    journal = opened(options=SMALL)
    journal.append([event(1)])
    for _ in range(5):
        opened.end(journal)
        journal = opened(options=SMALL)
        assert len(files(tmp_path / "journal")) == 2
        assert len(list((tmp_path / "journal").glob("*.before"))) <= 1
    journal.append([event(2)])
    opened.end(journal)
    stored, damage = read_all(opened(options=SMALL))
    assert bodies(stored) == [event(1).body, event(2).body]
    assert not damage


async def test_a_first_hand_whose_file_is_full(opened, tmp_path):
    """Nor does he by going on in a fresh file, which would have the name of the other's."""
    one = opened(options=SMALL)
    while one.size_bytes < SMALL.segment_bytes - 100:
        one.append([event(one.next_number)])
    other = opened(options=SMALL)
    other.append([event(1000)])
    with pytest.raises(JournalTaken):
        one.append([event(2000)])
    count = one.next_number
    opened.end(one)
    opened.end(other)
    stored, _ = read_all(opened(options=SMALL))
    assert bodies(stored) == [*(event(n).body for n in range(1, count)), event(1000).body]


async def test_what_a_first_hand_appended_last_is_found_by_the_next_start(opened, tmp_path):
    """Two hands, and the first is killed before it published its last: the next start appends it
    anew.
    """
    one = opened(options=SMALL)
    one.append([event(1)])
    other = opened(options=SMALL)
    one.append([event(2)])
    other.append([event(3)])
    opened.end(one)
    opened.end(other)
    again = opened(options=SMALL)
    stored, _ = read_all(again)
    assert sorted(bodies(stored)) == sorted(event(n).body for n in (1, 2, 3))


async def test_a_new_name(opened, tmp_path):
    """A journal that takes another name is the same journal: its records stand where they stood, also
    for a version that reads the name from its files alone.
    """
    journal = opened(options=SMALL)
    append_one_by_one(journal, numbered(0, 5))
    before, end = journal.id, journal.end
    journal.rename([3] * 8, end)
    assert journal.id != before
    assert journal.end == end
    journal.append([event(5)])
    opened.end(journal)
    assert look(tmp_path / "journal").id == journal.id
    again = opened(options=SMALL)
    assert again.id == journal.id
    assert again.ownership.parent == before
    assert again.ownership.shared == end
    assert [again.watermarks.of(shard) for shard in range(8)] == [3] * 8
    stored, damage = read_all(again)
    assert bodies(stored) == [each.body for each in numbered(0, 6)]
    assert not damage
    opened.end(again)
    (tmp_path / "journal" / "owner").unlink()
    assert look(tmp_path / "journal").id == journal.id


async def test_a_name_for_an_empty_journal(opened):
    """Nor does a journal without a record lose anything by it."""
    journal = opened(options=SMALL)
    journal.rename([0] * 8, 0)
    journal.append([event(1)])
    stored, _ = read_all(journal)
    assert bodies(stored) == [event(1).body]
    opened.end(journal)
    assert opened(options=SMALL).id == journal.id


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name":1}', b"\0" * 500])
async def test_an_owner_file_that_cannot_be_read(opened, tmp_path, content):
    """Costs no more than what it said: the name is that of the newest file."""
    journal = opened(options=SMALL)
    journal.append([event(1)])
    journal.ownership.expect()
    opened.end(journal)
    (tmp_path / "journal" / "owner").write_bytes(content)
    again = opened(options=SMALL)
    assert again.id == journal.id
    assert not again.ownership.tokens


async def test_an_owner_file_of_another_journal(opened, tmp_path):
    """An owner file beside files of a journal that it does not know is not believed."""
    one = opened(options=SMALL)
    one.append([event(1)])
    one.ownership.expect()
    opened.end(one)
    other = opened(options=SMALL, folder=tmp_path / "other")
    other.append([event(2)])
    opened.end(other)
    shutil.copy(tmp_path / "journal" / "owner", tmp_path / "other" / "owner")
    again = opened(options=SMALL, folder=tmp_path / "other")
    assert again.id == other.id
    assert not again.ownership.tokens


def test_only_the_newest_tokens_are_kept(tmp_path):
    """Many starts do not make the file grow for ever, and the newest is always there."""
    made = []
    for _ in range(600):
        ownership = Ownership(Disk(), tmp_path, "ab" * 16)
        ownership.open(0)
        made.append(ownership.expect())
        assert ownership.expect() == made[-1]  # one for each start
    again = Ownership(Disk(), tmp_path, "ab" * 16)
    assert list(again.tokens) == made[-512:]
    assert (tmp_path / "owner").stat().st_size < 16_384
    assert not list(tmp_path.glob("*.new"))


async def test_a_disk_that_refuses_the_file(opened, tmp_path, caplog):
    """It is told, and webhooks are taken all the same."""

    class NoOwner(Disk):
        def create(self, path):
            if path.name.startswith("owner"):
                raise OSError(28, "No space left on device")
            return super().create(path)

    journal = opened(options=SMALL, disk=NoOwner())
    journal.append([event(1)])
    assert journal.look()
    assert "cannot be written down" in caplog.text
