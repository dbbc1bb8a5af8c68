"""Numbers into a table. Pure."""

from collections.abc import Sequence
from statistics import median


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the ascending `ordered` lie (nearest rank)."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def from_buckets(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """Estimate a percentile from (upper bound, cumulative count), linear within a bucket.

    None when nothing was counted, or when it lies beyond the last finite bound.
    """
    total = buckets[-1][1] if buckets else 0
    if not total:
        return None
    wanted, lower, below = share * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= wanted and bound != float("inf"):
            return lower + (bound - lower) * (wanted - below) / max(count - below, 1e-9)
        lower, below = bound, count
    return None


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return `median (min..max)`."""
    if not values:
        return "-"
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}..{high:.{digits}f})"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, padded so that it reads as plain text too."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"

    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((line(header), rule, *map(line, rows)))
