"""What came of a run: counted while it goes, summed up at its end, told in a few lines. Pure."""

from array import array
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Time to the answer: from when the request was due with a rate, else from its sending."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The whole run. Requests without an answer are in `errors`, by kind, and in no latency."""

    requests: int
    statuses: dict[int, int]
    errors: dict[str, int]
    latency: Latency | None  # None: nothing was answered
    seconds: float

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0

    @property
    def ok(self) -> bool:
        """Whether every request was answered with a 2xx."""
        return not self.errors and all(200 <= status < 300 for status in self.statuses)

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1


class Tally:
    """The counts of a run that goes on."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.errors: Counter[str] = Counter()
        self._latencies_ms = array("d")

    @property
    def done(self) -> int:
        return self.statuses.total() + self.errors.total()

    def answered(self, status: int, latency_ms: float) -> None:
        self.statuses[status] += 1
        self._latencies_ms.append(latency_ms)

    def failed(self, kind: str) -> None:
        self.errors[kind] += 1

    def summary(self, seconds: float) -> Summary:
        return Summary(
            requests=self.done,
            statuses=dict(sorted(self.statuses.items())),
            errors=dict(sorted(self.errors.items())),
            latency=_latency(sorted(self._latencies_ms)),
            seconds=seconds,
        )


def _latency(ordered_ms: list[float]) -> Latency | None:
    if not ordered_ms:
        return None
    return Latency(
        p50_ms=percentile(ordered_ms, 50),
        p90_ms=percentile(ordered_ms, 90),
        p99_ms=percentile(ordered_ms, 99),
        max_ms=ordered_ms[-1],
    )


def percentile(ordered: list[float], percent: int) -> float:
    """Return the smallest value that `percent` of 100 values do not exceed (nearest rank)."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def render(summary: Summary) -> str:
    """Tell a summary in a few lines for people."""
    per_s = f"{summary.requests_per_s:,.0f} per second"
    lines = [f"{summary.requests} requests in {summary.seconds:.2f} s ({per_s})"]
    lines += [f"  {status:<12} {count}" for status, count in summary.statuses.items()]
    lines += [f"  {kind:<12} {count}" for kind, count in summary.errors.items()]
    if (ms := summary.latency) is not None:
        lines.append(
            f"  latency      p50 {ms.p50_ms:.1f} ms   p90 {ms.p90_ms:.1f} ms"
            f"   p99 {ms.p99_ms:.1f} ms   max {ms.max_ms:.1f} ms"
        )
    return "\n".join(lines)
