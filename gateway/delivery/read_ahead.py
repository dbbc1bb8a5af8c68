"""How much a worker reads ahead: enough that no attempt waits for Redis, and no more. No I/O.

What is read and waits for its turn is memory, so it has a bound in bytes, however many shards it
comes from. What cannot have its turn yet (its next attempt is due later, or the event before it of
its call is under way) does not count here: that is bounded for each shard (`claim`), so one shard
that is full of it stops no other.

Of shards that have fallen behind a few are read at a time, in turn, in large pieces: each piece is
a call to Redis, whatever it brings. All others get what they rang for, which is little.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gateway.delivery.claim import WINDOW_ENTRIES, Claim
from gateway.store.entries import Entry

READY_BYTES = 1536 << 10  # of all workers of a process: together they are as fast as one alone
LEAST_BYTES = 128 << 10  # of one, however many there are
MOST_ENTRIES, LEAST_ENTRIES = 1024, 16  # ready, whatever their size
ENTRY_BYTES = 1 << 10  # of one that is read, beside its body and meta
PIECE = 512  # entries asked for at once of a shard that is behind
FEW = 64  # and of another
_FIRST_GUESS_BYTES = 2 << 10


class Grant(NamedTuple):
    """How much to read of one shard now."""

    entries: int
    max_bytes: int


class ReadAhead:
    """Of one of `workers`. `ready`: how many there are whose turn could be now."""

    def __init__(self, claims: Sequence[Claim], workers: int) -> None:
        self._max_bytes = max(LEAST_BYTES, READY_BYTES // max(1, workers))
        self._turns = deque(claims)  # whoever was read last comes last
        self._entry_bytes = _FIRST_GUESS_BYTES

    def wanted(self, ready: int) -> int:
        """Return how many entries to read now: none until half of the most are missing."""
        most = self._max_bytes // self._entry_bytes
        most = max(LEAST_ENTRIES, min(MOST_ENTRIES, most))
        missing = most - ready
        return missing if 2 * missing >= most else 0

    def grants(self, ready: int) -> dict[int, Grant]:
        """Say how much to read of which shards in this round."""
        wanted = self.wanted(ready)
        if not wanted:
            return {}
        found: dict[int, Grant] = {}
        for claim in [each for each in self._turns if each.look and each.can_read()]:
            room = WINDOW_ENTRIES - len(claim.held)
            if not claim.behind:
                found[claim.shard] = Grant(min(room, FEW), self._max_bytes // len(self._turns))
            elif wanted > 0:
                count = min(room, wanted, PIECE)
                found[claim.shard] = Grant(count, self._max_bytes)
                wanted -= count
                self._turns.remove(claim)
                self._turns.append(claim)
        return found

    def read(self, entries: Iterable[Entry]) -> None:
        """Learn from what was read how large an entry is."""
        sizes = [len(entry.meta) + len(entry.body) for entry in entries]
        if sizes:
            self._entry_bytes = ENTRY_BYTES + sum(sizes) // len(sizes)
