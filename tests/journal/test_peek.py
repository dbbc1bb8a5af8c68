"""A look at a journal that somebody else has open, or nobody."""

from support.events import event

from gateway.journal.journal import Journal
from gateway.journal.peek import look
from gateway.metrics import Metrics
from gateway.options import JournalOptions

SMALL = JournalOptions(segment_bytes=4096, max_bytes=64 * 1024, keep_s=0)


def opened(folder):
    return Journal(folder, SMALL, Metrics())


async def test_it_tells_what_its_owner_would(tmp_path):
    """The journal's name and all that it ever wrote: while it is open, after its end, with
    segments gone, and with the last record torn.
    """
    folder = tmp_path / "journal"
    journal = opened(folder)
    for written in range(10, 200, 10):
        journal.append([event(n) for n in range(10)])
        assert look(folder) == (journal.id, written)
    journal.release(journal.end)
    assert len(list(folder.glob("*.journal"))) < 19
    assert look(folder) == (journal.id, 190)
    journal.close()
    assert look(folder) == (journal.id, 190)
    newest = max(folder.glob("*.journal"))
    newest.write_bytes(newest.read_bytes()[:-3])
    again = opened(folder)
    assert look(folder) == (again.id, again.next_number - 1) == (journal.id, 189)
    again.close()


async def test_it_changes_nothing(tmp_path):
    """Every file is byte for byte what it was, unfinished ones too."""
    folder = tmp_path / "journal"
    journal = opened(folder)
    journal.append([event(n) for n in range(10)])
    (folder / "00000000000000000000.new").write_bytes(b"under way")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    look(folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    journal.close()


def test_where_there_is_no_journal_there_is_nothing_to_tell(tmp_path):
    """An empty folder, and none."""
    assert look(tmp_path) is None
    assert look(tmp_path / "nowhere") is None
