"""Which shards of a subscriber are whose, among all processes that deliver. Pure.

Everybody comes to the same answer from the same list, and the shards are spread as evenly as can
be: nobody has more than one above anybody else, and subscribers begin at different places. A
share is a wish and no right: only a lease makes a shard somebody's.

Not every process serves every subscriber: one may be new in a configuration that has not reached
all, or switched off at one. Who does not serve it stands back for those who do, and has a share
only where nobody does, to keep the backlog within its bound.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from zlib import crc32


def share(name: str, holder: str, holders: Iterable[str], shards: Sequence[int]) -> frozenset[int]:
    """Return the shards of subscriber `name` that are `holder`'s, which need not be listed yet."""
    everybody = sorted({holder, *holders})
    first = crc32(name.encode())
    return frozenset(
        shard for shard in shards if everybody[(shard + first) % len(everybody)] == holder
    )


def share_among(
    name: str,
    holder: str,
    present: Mapping[str, Collection[str]],
    shards: Sequence[int],
    *,
    serves: bool,
) -> frozenset[int]:
    """Return the same among those that are `present`, of which each serves some by name.

    `serves`: whether `holder` does serve `name`.
    """
    others = [one for one, names in present.items() if name in names and one != holder]
    if serves:
        return share(name, holder, others, shards)
    return frozenset() if others else share(name, holder, present, shards)
