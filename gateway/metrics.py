"""The metrics: plain numbers, bumped in place, rendered as Prometheus text on demand.

Bumping a slot costs 0.1 us where the usual client library costs 0.7 to 3; on the fast path
that is the difference between counting everything and counting some of it. The catalogue is
`Metrics`: one attribute per metric, with its help text and labels.

What is rendered is snapshots: this process's, or those of several, which are then one.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence

from gateway import native, tally
from gateway.tally import Snapshot

# Seconds; from the 20 us of an ack to the 15 s after which Stream gives up.
LATENCY_BUCKETS_S = (
    2e-5,
    5e-5,
    1e-4,
    2e-4,
    5e-4,
    1e-3,
    2e-3,
    5e-3,
    1e-2,
    2.5e-2,
    0.1,
    0.5,
    1.0,
    5.0,
    15.0,
)


def _quote(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _labelled(name: str, labels: tuple[str, ...], values: tuple[str, ...]) -> str:
    if not labels:
        return name
    pairs = ",".join(f'{key}="{_quote(value)}"' for key, value in zip(labels, values, strict=True))
    return f"{name}{{{pairs}}}"


class Counter:
    """A family of counters; `family.values[labels] += n` on hot paths, `add` elsewhere."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> None:
        self.name, self.help_text, self.labels = name, help_text, labels
        self.values: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, *values: str, by: float = 1) -> None:
        self.values[values] = self.values.get(values, 0) + by

    def total(self) -> float:
        return sum(self.values.values())

    def rows(self) -> tally.Rows:
        """Return the number of every labelling there was."""
        return list(self.values.items())

    def render(self, snapshots: Sequence[Snapshot]) -> Iterator[str]:
        yield from self._lines(tally.rows(snapshots, "counters", self.name))

    def _lines(self, rows: tally.Rows) -> Iterator[str]:
        for values, number in rows:
            yield f"{_labelled(self.name, self.labels, values)} {number}"


class Gauge(Counter):
    """A family of gauges: `set`, or `track` a function that is called at every scrape.

    Over several processes it is their sum, or `least`: the least of them.
    """

    kind = "gauge"

    def __init__(
        self, name: str, help_text: str, labels: tuple[str, ...] = (), *, least: bool = False
    ) -> None:
        super().__init__(name, help_text, labels)
        self.values = {}
        self._least = least
        self._tracked: dict[tuple[str, ...], Callable[[], float]] = {}

    def set(self, *values: str, to: float) -> None:
        self.values[values] = to

    def track(self, *values: str, read: Callable[[], float]) -> None:
        self._tracked[values] = read

    def rows(self) -> tally.Rows:
        for values, read in self._tracked.items():
            self.values[values] = read()
        return super().rows()

    def render(self, snapshots: Sequence[Snapshot]) -> Iterator[str]:
        yield from self._lines(tally.rows(snapshots, "gauges", self.name, least=self._least))


class Histogram:
    """One histogram without labels; `observe(value)` is a bisect and three additions."""

    kind = "histogram"

    def __init__(
        self, name: str, help_text: str, bounds: tuple[float, ...] = LATENCY_BUCKETS_S
    ) -> None:
        self.name, self.help_text, self.bounds = name, help_text, bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, times: int = 1) -> None:
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def observe_since(self, moments: Sequence[float], now: float) -> None:
        """Observe how long before `now` each of `moments` was."""
        bounds, counts = self.bounds, self.counts
        if native.observe is not None and type(moments) is list:
            self.sum += native.observe(bounds, counts, moments, now)
            return
        for moment in moments:
            counts[bisect_left(bounds, now - moment)] += 1
        self.sum += now * len(moments) - sum(moments)

    def buckets(self) -> tally.Buckets:
        return {"counts": list(self.counts), "sum": self.sum}

    def render(self, snapshots: Sequence[Snapshot]) -> Iterator[str]:
        found = tally.buckets(snapshots, self.name)
        running = 0
        for bound, count in zip((*self.bounds, "+Inf"), found["counts"], strict=True):
            running += count
            yield f'{self.name}_bucket{{le="{bound}"}} {running}'
        yield f"{self.name}_sum {found['sum']}"
        yield f"{self.name}_count {running}"


class Metrics:
    """The catalogue."""

    def __init__(self) -> None:
        # ingest
        self.webhooks = Counter(
            "gateway_webhooks_total", "Webhook requests, by answer.", ("status",)
        )
        self.unauthorized = Counter(
            "gateway_webhooks_unauthorized_total",
            "Webhooks whose signature did not verify, by the app they named, or unknown.",
            ("app",),
        )
        self.ack_seconds = Histogram(
            "gateway_ack_seconds",
            "From the last byte of a webhook read to its 200 written. Where an ack waits for Redis,"
            " it may have waited unread before, up to 5 ms.",
        )
        self.connections = Gauge("gateway_connections", "Open connections on the public port.")
        self.connections_refused = Counter(
            "gateway_connections_refused_total", "Connections turned away, by reason.", ("reason",)
        )
        # sources
        self.source_messages = Counter(
            "gateway_source_messages_total",
            "Messages of SQS and SNS, by source and what became of them.",
            ("source", "what"),
        )
        self.source_errors = Counter(
            "gateway_source_errors_total",
            "What went wrong with SQS and SNS, by source and call.",
            ("source", "call"),
        )
        # journal and publisher
        self.accepted = Counter("gateway_accepted_total", "Events written to the journal.")
        self.published = Counter("gateway_published_total", "Events published to the streams.")
        self.duplicates = Counter("gateway_duplicates_total", "Events refused as duplicates.")
        self.unfit = Counter("gateway_not_an_event_total", "Signed bodies that are no event.")
        self.journal_bytes = Gauge("gateway_journal_bytes", "Bytes of journal on disk.")
        self.journal_waiting = Gauge(
            "gateway_journal_waiting", "Events in the journal that are not published yet."
        )
        self.journal_failures = Counter(
            "gateway_journal_failures_total", "Writes or syncs that the disk refused.", ("call",)
        )
        self.journal_damaged = Counter(
            "gateway_journal_damaged_total", "Damaged places found in the journal."
        )
        self.rewinds = Counter(
            "gateway_publisher_rewinds_total",
            "Shards that had lost a tail and were healed from the journal.",
        )
        self.renamed = Counter(
            "gateway_publisher_renamed_total",
            "Times that a journal went on under a new name: it was copied, or its disk lost its"
            " end.",
        )
        self.again = Counter(
            "gateway_publisher_again_total",
            "Events that may have been published before, longer ago than duplicates are known.",
        )
        self.healed = Counter(
            "gateway_publisher_healed_total",
            "Events published again because Redis had lost them; subscribers get them again.",
        )
        self.stream_up = Gauge(
            "gateway_stream_up", "1 while Redis takes what is published.", least=True
        )
        # the engine's own files
        self.engine_rewrite_ok = Gauge(
            "gateway_engine_rewrite_ok",
            "0 while the last rewrite of the engine's append-only file has failed, else 1.",
            least=True,
        )
        self.engine_cut_bytes = Gauge(
            "gateway_engine_cut_bytes",
            "Bytes cut off the embedded engine's damaged files, until their copy is taken away.",
        )
        self.yielded = Counter(
            "gateway_yielded_total",
            "What was given up because the engine's memory was nearly full: entries of history"
            " (what=history), states of calls (what=calls).",
            ("what",),
        )
        # workers
        self.workers = Gauge("gateway_workers", "Workers that serve, of those configured.")
        self.worker_ends = Counter(
            "gateway_worker_ends_total", "Workers that ended unasked and were replaced."
        )
        # delivery
        self.attempts = Counter(
            "gateway_delivery_attempts_total",
            "Attempts to deliver, by subscriber and result.",
            ("subscriber", "result"),
        )
        self.settled = Counter(
            "gateway_delivery_settled_total",
            "Events settled, by subscriber and how.",
            ("subscriber", "how"),
        )
        self.match_errors = Counter(
            "gateway_match_errors_total",
            "Events that a subscriber did not get because its `where` had no answer for them.",
            ("subscriber",),
        )
        self.repeats = Counter(
            "gateway_delivery_repeats_total",
            "Events that may repeat an attempt: taken over, or their settling was lost by Redis.",
            ("subscriber",),
        )
        self.backlog = Gauge(
            "gateway_subscriber_backlog", "Events waiting, by subscriber.", ("subscriber",)
        )
        # feed
        self.feed_connections = Gauge(
            "gateway_feed_connections", "Open connections of watchers, by protocol.", ("protocol",)
        )
        self.feed_calls = Gauge("gateway_feed_calls", "Calls that somebody watches.")
        self.feed_waiting = Gauge(
            "gateway_feed_waiting", "Calls that connections wait for, which do not name their user."
        )
        self.feed_frames = Counter("gateway_feed_frames_total", "Events written to watchers.")
        self.feed_bytes = Counter(
            "gateway_feed_bytes_total", "Bytes of events written to watchers."
        )
        self.feed_seconds = Histogram(
            "gateway_feed_seconds", "From accepting an event to its frames written to watchers."
        )
        self.feed_let_go = Counter(
            "gateway_feed_let_go_total",
            "Connections of watchers that we ended, by reason.",
            ("reason",),
        )
        self.feed_refused = Counter(
            "gateway_feed_refused_total",
            "Connections of watchers turned away, by Stream's code for why.",
            ("code",),
        )
        self.feed_gaps = Counter(
            "gateway_feed_gaps_total", "Shards whose events were lost before we had read them."
        )
        # calls
        self.call_events = Counter(
            "gateway_call_events_total",
            "Events read for what they say about a call: taken_in, or let_go in a flood.",
            ("what",),
        )
        # Stream's API
        self.api_requests = Counter(
            "gateway_api_requests_total",
            "Requests to Stream's API answered here, by endpoint and Stream's code, or ok.",
            ("endpoint", "code"),
        )
        self.too_fast = Counter(
            "gateway_too_fast_total",
            "What clients made or asked too fast, by the bound: user, call, new_calls, guests,"
            " requests.",
            ("bound",),
        )
        # upstream
        self.upstream_requests = Counter(
            "gateway_upstream_requests_total",
            "Requests passed on to Stream's API, by the class of its answer, or what went wrong.",
            ("result",),
        )
        self.upstream_seconds = Histogram(
            "gateway_upstream_seconds", "From asking Stream's API to the end of its answer."
        )

    def snapshot(self) -> Snapshot:
        """Return what is counted now, as plain data."""
        taken = tally.empty()
        for family in vars(self).values():
            if isinstance(family, Histogram):
                taken["histograms"][family.name] = family.buckets()
            else:
                taken["gauges" if family.kind == "gauge" else "counters"][family.name] = (
                    family.rows()
                )
        return taken

    def render(self, snapshots: Sequence[Snapshot] | None = None) -> str:
        """Return the whole catalogue in Prometheus' text format 0.0.4.

        `snapshots`: of all processes whose sum it is; this one's alone without.
        """
        taken = [self.snapshot()] if snapshots is None else snapshots
        lines: list[str] = []
        for family in vars(self).values():
            lines += (
                f"# HELP {family.name} {family.help_text}",
                f"# TYPE {family.name} {family.kind}",
                *family.render(taken),
            )
        return "\n".join(lines) + "\n"
