"""Which shards of a subscriber are whose, among all processes that deliver. Pure.

Everybody comes to the same answer from the same list, and the shards are spread as evenly as can
be: nobody has more than one above anybody else, and subscribers begin at different places. A
share is a wish and no right: only a lease makes a shard somebody's.
"""

from collections.abc import Iterable, Sequence
from zlib import crc32


def share(name: str, holder: str, holders: Iterable[str], shards: Sequence[int]) -> frozenset[int]:
    """Return the shards of subscriber `name` that are `holder`'s, which need not be listed yet."""
    everybody = sorted({holder, *holders})
    first = crc32(name.encode())
    return frozenset(
        shard for shard in shards if everybody[(shard + first) % len(everybody)] == holder
    )
