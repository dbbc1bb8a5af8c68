"""The rounds of the feed's scenario, as a table and a chart. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.broadcasters import BROADCASTERS
from bench.chart import Bar, Panel
from bench.report import markdown, spread

_HEADER = (
    "watchers, calls",
    "messages",
    "contender",
    "CPU us/delivery",
    "times ours",
    "deliveries/s",
    "latency ms p50 / p99",
    "KB/watcher",
)
_PHASES = {"alone": "one at a time", "in flight": "16 in flight", "paced": "200/s"}
_SHOWN = {one.name: one.shown for one in BROADCASTERS}
_OURS = "gateway"


@dataclass(frozen=True, slots=True)
class Sample:
    """One phase of one contender in one round.

    `latency_ms`: from a message published, or due, to its receipt by a watcher. `inside_ms`: the
    gateway's own measure. `idle_bytes` and `busy_bytes`: what the process has grown by per
    watcher, once all are open and after the last phase.
    """

    contender: str
    watchers: int
    calls: int
    stalled: int
    phase: str
    deliveries: int
    seconds: float
    cpu_us: float
    latency_ms: dict[str, float]
    reordered: int
    inside_ms: dict[str, float] = field(default_factory=dict)
    idle_bytes: float = 0
    busy_bytes: float = 0

    @property
    def per_second(self) -> float:
        return self.deliveries / self.seconds


_Group = tuple[int, int, str]
_Samples = Sequence[Sample]


def _groups(samples: _Samples) -> dict[_Group, dict[str, list[Sample]]]:
    found: dict[_Group, dict[str, list[Sample]]] = {}
    for one in samples:
        if not one.stalled:
            group = found.setdefault((one.watchers, one.calls, one.phase), {})
            group.setdefault(one.contender, []).append(one)
    order = list(_PHASES)
    return dict(sorted(found.items(), key=lambda item: (*item[0][:2], order.index(item[0][2]))))


def _cpu(samples: _Samples) -> float:
    return median(one.cpu_us for one in samples)


def _latency(samples: _Samples) -> str:
    shares = [median(one.latency_ms[name] for one in samples) for name in ("p50", "p99")]
    return " / ".join(f"{ms:.1f}" if ms < 100 else f"{ms:.0f}" for ms in shares)


def table(samples: _Samples) -> str:
    """Return medians over the rounds, CPU with its spread (min..max)."""
    rows = []
    for (watchers, calls, phase), group in _groups(samples).items():
        ours = group.get(_OURS)
        for name, of in group.items():
            rows.append(
                (
                    f"{watchers:,}, {calls:,}",
                    _PHASES[phase],
                    _SHOWN[name],
                    spread([one.cpu_us for one in of], 2),
                    f"{_cpu(of) / _cpu(ours):.1f}" if ours else "-",
                    f"{median(one.per_second for one in of):,.0f}",
                    _latency(of),
                    f"{median(one.busy_bytes for one in of) / 1000:.1f}",
                )
            )
    return markdown(_HEADER, rows)


def panels(samples: _Samples) -> list[Panel]:
    found = []
    for (watchers, calls, phase), group in _groups(samples).items():
        bars = []
        for name, of in group.items():
            cpu = [one.cpu_us for one in of]
            note = f"p99 {median(one.latency_ms['p99'] for one in of):.0f} ms"
            bars.append(
                Bar(_SHOWN[name], median(cpu), min(cpu), max(cpu), ours=name == _OURS, note=note)
            )
        plural = "s" if calls > 1 else ""
        title = f"CPU us per delivery, {watchers:,} watchers of {calls:,} call{plural}, {_PHASES[phase]}"
        found.append(Panel(title, bars))
    return found


def notes(samples: _Samples) -> list[str]:
    """Tell how long an event takes inside of the gateway, and what stalled watchers change."""
    paced = [one for one in samples if one.phase == "paced" and one.inside_ms]
    lines = []
    for stalled in sorted({one.stalled for one in paced}):
        of = [one for one in paced if one.stalled == stalled]
        inside = " / ".join(
            f"{median(one.inside_ms[name] for one in of):.1f}" for name in ("p50", "p99")
        )
        beside = f"beside {stalled} watchers that never read" if stalled else "alone"
        lines.append(f"{beside} {inside} (to its receipt by a watcher {_latency(of)})")
    if not lines:
        return []
    said = "From an event accepted to its frames written, 200 messages/s to 1,000 watchers, ms"
    return [f"{said} p50 / p99: {'; '.join(lines)}."]
