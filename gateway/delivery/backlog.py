"""What to bury when a subscriber's backlog is beyond its bound. Pure.

The backlog is what is unread plus what is parked, in bytes, and the age of the oldest unread
event. Beyond the bound the oldest go: first the parked, those whose turn is farthest away (the
most often tried), then the unread. An event's age counts only from when this worker began to
serve the shard: our own outage buries nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gateway.options import BacklogOptions
from gateway.store.keys import SHARDS
from gateway.store.taking.consumer_group import Standing


class Excess(NamedTuple):
    """What one shard has to bury."""

    parked_bytes: int
    unread_bytes: int


def excess(standings: Mapping[int, Standing], options: BacklogOptions) -> dict[int, Excess]:
    """Return what each shard has to bury for the bound in bytes.

    Of a subscriber whose shards are spread over several workers, each answers for its part.
    """
    bound = options.max_bytes * len(standings) // SHARDS
    parked = sum(standing.parked_bytes for standing in standings.values())
    unread = sum(standing.unread_bytes for standing in standings.values())
    over = max(0, parked + unread - bound)
    of_parked = min(over, parked)
    of_unread = over - of_parked
    return {
        shard: Excess(
            _share(of_parked, standing.parked_bytes, parked),
            _share(of_unread, standing.unread_bytes, unread),
        )
        for shard, standing in standings.items()
    }


def _share(total: int, part: int, whole: int) -> int:
    return -(-total * part // whole) if whole else 0


def too_old_before_ms(
    standing: Standing, options: BacklogOptions, *, serving_since_ms: int, now_ms: int
) -> int:
    """Return the time before which what is unread is too old, or 0 if nothing is."""
    before_ms = now_ms - int(options.max_age_s * 1000)
    if not standing.oldest_unread_ms or serving_since_ms > before_ms:
        return 0
    return before_ms if standing.oldest_unread_ms < before_ms else 0
