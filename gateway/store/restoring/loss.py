"""What it means that Redis knows less than we remember. Pure.

A name that is gone while its shards live on was forgotten on command, unless a server failed just
now: then it may have been in a tail that was lost. A shard that lives another life was emptied;
whoever was there before is put back on it. In doubt a name is kept: that costs a repeat, or a
backlog that somebody has to forget once more, and the other way would lose events.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from gateway.store.restoring.known import KnownSubscribers
from gateway.store.restoring.lives import Lives
from gateway.store.taking.subscriptions import Subscription

Register = Mapping[str, Subscription]


class SeenShards(NamedTuple):
    """`lost`: shards of which a journal says that they have less than they had; `is_first`: we
    have not looked before; `has_failed`: a server has, since we looked.
    """

    register: Register
    lives: Lives
    lost: Collection[int]
    is_first: bool
    has_failed: bool


class Loss(NamedTuple):
    """`remembered`: who was there; `gone`: of these, whom the register lacks; `emptied` and
    `survivors`: of the shards; `is_doubted`: what is gone may be lost, and more than shows.
    """

    remembered: Register
    gone: frozenset[str]
    emptied: frozenset[int]
    survivors: frozenset[int]
    is_doubted: bool


def compare(before: KnownSubscribers | None, seen: SeenShards, otherwise: Register) -> Loss:
    """Compare what is `seen` with what was so `before`. Who was there, where nothing of that is
    known, but a journal says that there has been more: `otherwise`.
    """
    known = before or KnownSubscribers((), seen.lives.now_ms, {})
    doubted = seen.lost if otherwise else ()
    emptied = seen.lives.emptied(known.lives, known.seen_ms, doubted)
    remembered = dict(known.subscribers)
    if emptied.intersection(doubted):
        remembered = {**otherwise, **remembered}
    shards = set(range(len(seen.lives.of)))
    survivors = shards - seen.lives.others(known.lives) - emptied
    return Loss(
        remembered,
        gone=frozenset(remembered.keys() - seen.register.keys()),
        emptied=frozenset(emptied),
        survivors=frozenset(survivors),
        is_doubted=bool(seen.lost) or survivors < shards or (seen.has_failed and not seen.is_first),
    )


def may_be_forgotten(loss: Loss, seen: SeenShards) -> frozenset[str]:
    """Return the names that were forgotten on command if none of the survivors has a group of
    theirs. What a server lost a moment ago looks the same; what was so before we began does not.
    """
    if loss.survivors and (seen.is_first or not loss.is_doubted):
        return loss.gone
    return frozenset()


def to_put_back(loss: Loss, seen: SeenShards, forgotten: Collection[str]) -> Sequence[str]:
    """Return the names that lack something, or may."""
    return [
        name
        for name in loss.remembered
        if name not in forgotten
        and (name in loss.gone or (loss.is_doubted and seen.register[name].state != "forgetting"))
    ]
