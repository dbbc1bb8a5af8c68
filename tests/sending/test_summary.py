"""The numbers of a run, and how they are told."""

import io

import pytest
from rich.console import Console
from support.eventually import eventually

from gateway.sending.progress import progress_bar
from gateway.sending.summary import Tally, percentile, render


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (90, 90), (99, 99), (100, 100), (1, 1)])
def test_percentiles_are_values_that_occurred(percent, value):
    """A percentile is the nearest rank, not something in between."""
    assert percentile([float(n) for n in range(1, 101)], percent) == value
    assert percentile([7.0], percent) == 7.0


def test_a_summary_counts_and_tells_everything():
    """Statuses, failures, rate and latencies are all in the few lines."""
    tally = Tally()
    for n in range(1, 101):
        tally.answered(200, float(n))
    tally.answered(503, 250.0)
    tally.failed("timeout")
    summary = tally.summary(2.0)
    assert (summary.requests, summary.requests_per_s) == (102, 51.0)
    assert (summary.ok, summary.exit_code) == (False, 1)
    assert render(summary).splitlines() == [
        "102 requests in 2.00 s (51 per second)",
        "  200          100",
        "  503          1",
        "  timeout      1",
        "  latency      p50 51.0 ms   p90 91.0 ms   p99 100.0 ms   max 250.0 ms",
    ]


def test_a_run_without_answers_has_no_latency():
    """No answer, no percentile; and no division by nothing."""
    summary = Tally().summary(0.0)
    assert summary.latency is None
    assert summary.ok
    assert render(summary) == "0 requests in 0.00 s (0 per second)"


async def test_a_long_run_shows_how_far_it_is():
    """On a terminal, the bar appears and counts, and is wiped when the run is over."""
    screen, tally = io.StringIO(), Tally()
    console = Console(file=screen, force_terminal=True, width=80)
    async with progress_bar(tally, 40, console=console, after_s=0.0):
        tally.failed("timeout")
        await eventually(lambda: "1/40" in screen.getvalue())


async def test_a_pipe_sees_no_bar():
    """Where nobody watches, nothing but the summary is written."""
    screen = io.StringIO()
    async with progress_bar(Tally(), 40, console=Console(file=screen), after_s=0.0):
        pass
    assert not screen.getvalue()
