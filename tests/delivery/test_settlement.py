"""What becomes of an event, over whole lives of failing."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.delivery.lanes import MIN_ATTEMPT_S, History, Park, RetryIn, first_timeout_s
from gateway.delivery.settlement import Bury, Grave, settle
from gateway.options import RetryOptions
from gateway.subscribers.outcome import Delivered, Failed, Reason

RETRY = RetryOptions()
T0 = 1_700_000_000_000
HEALABLE = [reason for reason in Reason if reason not in {Reason.REJECTED, Reason.GONE}]
# The transient kinds and their bounds in the fast lane.
BOUNDS = {Reason.STATUS: 3, Reason.NETWORK: 2, Reason.TIMEOUT: 3}

failures = st.builds(
    Failed,
    st.sampled_from(HEALABLE),
    retry_after_s=st.none() | st.floats(0, 1e10),
)
jitters = st.floats(0, 1, exclude_max=True)
# A failure, the share of its time-out that it took, and the jitter.
rounds = st.lists(st.tuples(failures, st.floats(0, 1), jitters), min_size=1, max_size=60)
retries = st.builds(
    RetryOptions,
    timeout_s=st.floats(0.25, 30),
    total_s=st.floats(0.25, 60),
    waits_s=st.lists(st.floats(0, 20), max_size=4).map(tuple),
    slow_first_s=st.floats(1, 600),
    slow_max_s=st.floats(600, 7200),
    slow_horizon_s=st.floats(0, 1e6),
)


def settled(outcome, history=None, now_ms=T0, **changes):
    return settle(outcome, history or History(1, T0), RETRY, now_ms, 0.5, **changes)


def test_delivered_is_delivered():
    """A delivery settles the event, in either lane, however late."""
    assert settled(Delivered(204)) == Delivered(204)
    assert settled(Delivered(), History(9, T0, 5), T0 * 2) == Delivered()


def test_rejected_is_buried_at_once():
    """What no attempt can heal is buried after the first."""
    assert settled(Failed(Reason.REJECTED, status=400)) == Bury(Grave.REJECTED)


def test_gone_is_buried_or_pauses():
    """410 buries the event; or it waits, due at once, and the subscriber pauses."""
    assert settled(Failed(Reason.GONE)) == Bury(Grave.GONE)
    assert settled(Failed(Reason.GONE), on_410="pause") == Park(T0, pauses=True)


def test_past_the_horizon_is_exhausted():
    """A failure past the horizon is the last."""
    late_ms = T0 + int(RETRY.slow_horizon_s * 1000)
    assert settled(Failed(Reason.STATUS), History(5, T0, 2), late_ms) == Bury(Grave.EXHAUSTED)
    assert isinstance(settled(Failed(Reason.STATUS), History(5, T0, 2), late_ms - 1), Park)


def test_an_outage_of_ours_buries_nothing():
    """An event that was due long ago is tried before it is given up."""
    parked = History(attempts=3, first_attempt_ms=T0)
    after_days_ms = T0 + 7 * 86_400_000
    tried = parked.begin("slow", after_days_ms)
    assert settled(Delivered(200), tried, after_days_ms) == Delivered(200)
    assert settled(Failed(Reason.NETWORK), tried, after_days_ms) == Bury(Grave.EXHAUSTED)


@dataclass
class Life:
    """One event that fails again and again, on a clock that only this test moves."""

    retry: RetryOptions
    now_ms: int = T0
    history: History = History()
    fast_ends_ms: int = T0
    decisions: list = field(default_factory=list)
    last_begin_ms: int = T0

    def run(self, script):
        lane, timeout_s = "fast", first_timeout_s("fast", self.retry)
        for failed, share, jitter in script:
            self.last_begin_ms = self.now_ms
            self.history = self.history.begin(lane, self.now_ms)
            self.now_ms += int(timeout_s * share * 1000)
            if lane == "fast":
                self.fast_ends_ms = self.now_ms
            decision = settle(failed, self.history, self.retry, self.now_ms, jitter)
            self.decisions.append((failed, self.history, decision, self.now_ms))
            match decision:
                case RetryIn():
                    self.now_ms += int(decision.wait_s * 1000)
                    timeout_s = decision.timeout_s
                case Park():
                    self.now_ms = max(self.now_ms, decision.due_ms)
                    lane, timeout_s = "slow", first_timeout_s("slow", self.retry)
                case Bury():
                    break
        return self


@given(retries, rounds)
def test_the_fast_lane_has_an_end(retry, script):
    """From the first attempt's start to the last one's end the fast lane takes `total_s`."""
    life = Life(retry).run(script)
    assert life.fast_ends_ms - T0 <= retry.total_s * 1000 + 1
    for _, _, decision, _ in life.decisions:
        if isinstance(decision, RetryIn):
            assert MIN_ATTEMPT_S <= decision.timeout_s <= retry.timeout_s


@given(rounds)
def test_never_more_attempts_than_the_table(script):
    """The fast lane retries only what the table names, and never beyond its bound."""
    for failed, history, decision, _ in Life(RETRY).run(script).decisions:
        if isinstance(decision, RetryIn):
            assert history.lane == "fast"
            assert history.attempts < BOUNDS[failed.reason]


@given(rounds)
def test_waits_are_the_tables_or_what_was_asked(script):
    """A wait in the fast lane is the table's, or the Retry-After when that is longer."""
    for failed, history, decision, _ in Life(RETRY).run(script).decisions:
        if isinstance(decision, RetryIn):
            table = RETRY.waits_s[history.attempts - 1]
            assert decision.wait_s == max(table, failed.retry_after_s or 0)


@given(retries, rounds)
def test_nothing_is_buried_before_the_horizon(retry, script):
    """A healable failure is exhausted only where an attempt ended at the horizon or past it."""
    for _, _, decision, ended_ms in Life(retry).run(script).decisions:
        if isinstance(decision, Bury):
            assert decision.reason is Grave.EXHAUSTED
            assert ended_ms >= T0 + int(retry.slow_horizon_s * 1000)


@given(retries, rounds)
def test_parking_honours_every_bound(retry, script):
    """Due not before it was asked for, not after `slow_max_s`, never beyond the horizon."""
    horizon_ms = T0 + int(retry.slow_horizon_s * 1000)
    for failed, _, decision, ended_ms in Life(retry).run(script).decisions:
        if isinstance(decision, Park):
            asked_ms = int(min(failed.retry_after_s or 0, retry.slow_max_s) * 1000)
            assert ended_ms < decision.due_ms <= horizon_ms
            assert decision.due_ms <= ended_ms + retry.slow_max_s * 1000
            assert decision.due_ms >= min(horizon_ms, ended_ms + max(asked_ms, 1000))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(HEALABLE), jitters)
def test_every_life_ends(reason, jitter):
    """An event that always fails is tried past the horizon once and then exhausted."""
    life = Life(RETRY).run([(Failed(reason), 1.0, jitter)] * 100_000)
    assert life.decisions[-1][2] == Bury(Grave.EXHAUSTED)


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("history", [History(1, T0), History(4, T0, 1)], ids=["fast", "slow"])
def test_every_reason_has_an_answer(reason, history):
    """No outcome is left undecided, in either lane."""
    assert isinstance(settled(Failed(reason), history), RetryIn | Park | Bury)
