"""Lives: is a shard still the one that it was?

A shard's hash says which life it lives, a word that is written once and never renewed. So a shard
that has only lost its tail, or was moved to another engine, lives on; one that was emptied
lives another life. Nothing else tells these two apart for whoever has no journal.
"""

import os
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from gateway.engine.engine import Engine
from gateway.store import keys
from gateway.store.scripts import ScriptCall, call_together

# A life that began longer than this before we last saw the other one is not its successor: this
# is a Redis that was at work beside ours. Wider than clocks differ, and than most histories.
_SLACK_MS = 3_600_000


class Lives(NamedTuple):
    """Those of all shards, at one moment: Unix ms, by Redis' clock."""

    of: tuple[str, ...]
    now_ms: int

    def emptied(self, before: Sequence[str], seen_ms: int, lost: Collection[int]) -> set[int]:
        """Return the shards that were emptied since their lives were `before`, last seen at
        `seen_ms`, or of which that is said by `lost`.
        """
        suspects = {*self.others(before), *lost}
        return {shard for shard in suspects if _began_ms(self.of[shard]) > seen_ms - _SLACK_MS}

    def others(self, before: Sequence[str]) -> set[int]:
        """Return the shards whose life is another one than `before`."""
        known = dict(enumerate(before))
        return {shard for shard, life in enumerate(self.of) if known.get(shard, life) != life}


def _began_ms(life: str) -> int:
    began, _, _ = life.partition("-")
    return int(began) if began.isdecimal() else 0


async def read_lives(engine: Engine) -> Lives:
    """Return which lives the shards live; those that have none begin one.

    Raises `EngineUnavailable` or `EngineRefused`.
    """
    found: list[tuple[str, int]] = []
    for answer in await call_together(engine, [_life(shard) for shard in range(keys.SHARDS)]):
        if isinstance(answer, Exception):
            raise answer
        found.append(answer)
    return Lives(tuple(life for life, _ in found), max(now_ms for _, now_ms in found))


def _life(shard: int) -> ScriptCall[tuple[str, int]]:
    names = (keys.events(shard), keys.shard_state(shard))
    return ScriptCall("life", names, (os.urandom(6).hex(),), _read)


def _read(reply: Any) -> tuple[str, int]:
    life, now_ms = reply
    return life.decode(), int(now_ms)
