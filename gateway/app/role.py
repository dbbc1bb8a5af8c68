"""What one process is to do: which parts, and its share when several do the same. Pure but for
looking at what journals there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Name = Literal["ingest", "delivery", "feed"]
ALL: frozenset[Name] = frozenset(("ingest", "delivery", "feed"))


@dataclass(frozen=True, slots=True)
class Role:
    """Worker `number` of `workers`, from 0."""

    parts: frozenset[Name] = ALL
    number: int = 0
    workers: int = 1

    @property
    def takes(self) -> bool:
        """Whether events are taken here: webhooks, or those that clients of the feed make."""
        return bool(self.parts & {"ingest", "feed"})


def journals(data_dir: Path, role: Role) -> Iterator[Path]:
    """Yield the folders of the journals that are this process's: first the one it appends to.

    The first worker looks after those of workers that there are no longer.
    """
    if not role.takes:
        return
    every = data_dir / "journal"
    yield every / str(role.number)
    if role.number == 0 and every.is_dir():
        left = (path for path in every.iterdir() if path.name.isdecimal())
        yield from sorted(path for path in left if int(path.name) >= role.workers)
