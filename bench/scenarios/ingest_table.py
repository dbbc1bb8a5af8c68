"""What `ingest` measures, and the table and the chart of it. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.chart import Bar, Panel
from bench.contenders import CONTENDERS, VARIANTS
from bench.report import from_buckets, markdown, spread
from bench.started import Buckets


@dataclass(frozen=True, slots=True)
class Case:
    """One way to load a contender. `half`: an open loop at half of what it made at `BASE`."""

    connections: int = 64
    size: int = 1024
    fsync: str = "everysec"
    half: bool = False

    @property
    def shown(self) -> str:
        many = f"{self.connections} connection{'s' if self.connections > 1 else ''}"
        half = "open loop at half load, " if self.half else ""
        fsync = f", appendfsync {self.fsync}" if self.fsync != "everysec" else ""
        return f"{half}{many}, {self.size / 1024:g} KB{fsync}"


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one contender in one case."""

    contender: str
    case: Case
    events: int
    seconds: float
    cpu_us: float  # of the server, all its threads, per event
    valkey_cpu_us: float
    latency_us: dict[str, float]  # as the load generator saw it
    ack_buckets: Buckets  # as the server saw it, this round only
    resident_bytes: int

    @property
    def per_second(self) -> float:
        return self.events / self.seconds


Group = Sequence[Sample]
OURS = ("gateway-journal", "gateway-redis")
SHOWN = {one.name: one.shown for one in (*CONTENDERS, *VARIANTS)}
HEADER = (
    "load",
    "contender",
    "CPU us/event",
    "times ours (journal / redis)",
    "Valkey us/event",
    "events/s",
    "ack us p50 / p99",
    "latency ms p50 / p99",
    "RSS MB",
)


def _by_case(samples: Group) -> Mapping[Case, Mapping[str, Group]]:
    found: dict[Case, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    for one in samples:
        found[one.case][one.contender].append(one)
    return found


def _cpu(group: Group) -> float:
    return median(one.cpu_us for one in group)


def _times_ours(group: Group, of_case: Mapping[str, Group]) -> str:
    """Return how many times our CPU it uses: the figure that survives a change of machine."""
    ours = [_cpu(of_case[name]) if name in of_case else 0 for name in OURS]
    return " / ".join(f"{_cpu(group) / own:.1f}" if own else "-" for own in ours)


def _pooled(group: Group) -> Buckets:
    totals: dict[float, float] = defaultdict(float)
    for sample in group:
        for bound, count in sample.ack_buckets:
            totals[bound] += count
    return sorted(totals.items())


def _ack(group: Group) -> str:
    buckets = _pooled(group)
    times = [from_buckets(buckets, share) for share in (0.5, 0.99)]
    return " / ".join("-" if time is None else f"{time * 1e6:.0f}" for time in times)


def table(samples: Group) -> str:
    """Return medians over the rounds, CPU with its spread (min..max)."""
    rows = []
    for case, of_case in _by_case(samples).items():
        for name, group in of_case.items():
            latency = [median(s.latency_us[p] for s in group) / 1000 for p in ("p50", "p99")]
            rows.append(
                (
                    case.shown,
                    SHOWN[name],
                    spread([s.cpu_us for s in group]),
                    _times_ours(group, of_case),
                    spread([s.valkey_cpu_us for s in group]),
                    f"{median(s.per_second for s in group):.0f}",
                    _ack(group),
                    f"{latency[0]:.2f} / {latency[1]:.2f}",
                    f"{median(s.resident_bytes for s in group) / 1e6:.0f}",
                )
            )
    return markdown(HEADER, rows)


def panels(samples: Group) -> list[Panel]:
    """Return one panel for each case: CPU per event, ours in another colour."""
    return [
        Panel(f"{case.shown}: CPU us per event", [_bar(name, of_case) for name in of_case])
        for case, of_case in _by_case(samples).items()
    ]


def _bar(name: str, of_case: Mapping[str, Group]) -> Bar:
    values = [one.cpu_us for one in of_case[name]]
    note = "" if name in OURS else f"({_times_ours(of_case[name], of_case)}x)"
    ours = name.startswith("gateway")
    return Bar(SHOWN[name], median(values), min(values), max(values), ours=ours, note=note)
