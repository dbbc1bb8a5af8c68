"""A small journal, and what can be read of one."""

from collections.abc import Iterable

from gateway.event import Stored
from gateway.journal.journal import Journal
from gateway.options import JournalOptions

SMALL = JournalOptions(segment_bytes=4096, max_bytes=64 * 1024, keep_s=0)


def read_all(journal: Journal, position: int | None = None) -> tuple[list[Stored], int]:
    position = journal.start if position is None else position
    events: list[Stored] = []
    damage = 0
    while position < journal.end:
        chunk = journal.read_files(position, journal.end)
        assert chunk.upto > position
        events += chunk.stored
        damage += chunk.damage
        position = chunk.upto
    return events, damage


def bodies(stored: Iterable[Stored]) -> list[bytes]:
    return [one.event.body for one in stored]
