"""The numbers of one process as plain data, and the sums of several. Pure.

A snapshot travels between processes as JSON. Those that have ended are added into one by
`retained`, so that no counter ever goes back; what a gauge said ended with its process.
"""

from collections.abc import Iterable
from typing import TypedDict

Rows = list[tuple[tuple[str, ...], float]]  # the values of the labels, and the number


class Buckets(TypedDict):
    """A histogram: observations in each bucket, the last unbounded, and the sum of all."""

    counts: list[int]
    sum: float


class Snapshot(TypedDict):
    """By the names of the metrics."""

    counters: dict[str, Rows]
    gauges: dict[str, Rows]
    histograms: dict[str, Buckets]


def empty() -> Snapshot:
    return {"counters": {}, "gauges": {}, "histograms": {}}


def retained(before: Snapshot, ended: Snapshot) -> Snapshot:
    """Return `before` with what a process had counted that has ended."""
    both = (before, ended)
    return {
        "counters": {name: rows(both, "counters", name) for name in _names(both, "counters")},
        "gauges": {},
        "histograms": {name: buckets(both, name) for name in _names(both, "histograms")},
    }


def rows(snapshots: Iterable[Snapshot], kind: str, name: str, *, least: bool = False) -> Rows:
    """Return one family over all snapshots: the sum for each labelling, or the least."""
    found: dict[tuple[str, ...], float] = {}
    for snapshot in snapshots:
        family: dict[str, Rows] = snapshot[kind]  # type: ignore[literal-required]
        for labels, number in family.get(name, ()):
            key = tuple(labels)
            if key not in found:
                found[key] = number
            else:
                found[key] = min(found[key], number) if least else found[key] + number
    return list(found.items())


def buckets(snapshots: Iterable[Snapshot], name: str) -> Buckets:
    """Return the sum of one histogram over all snapshots that have it."""
    each = [one["histograms"][name] for one in snapshots if name in one["histograms"]]
    counts = [sum(numbers) for numbers in zip(*(one["counts"] for one in each), strict=False)]
    return {"counts": counts, "sum": sum(one["sum"] for one in each)}


def _names(snapshots: Iterable[Snapshot], kind: str) -> list[str]:
    """Return the names of all families of a kind, in the order in which they were met."""
    return list(dict.fromkeys(name for one in snapshots for name in one[kind]))  # type: ignore[literal-required]
