"""The two lanes: Stream's table, and hours of patience after it."""

import pytest

from gateway.delivery.lanes import History, Park, RetryIn, first_timeout_s, next_step
from gateway.options import HOUR_S, RetryOptions
from gateway.subscribers.outcome import Failed, Reason

RETRY = RetryOptions()
T0 = 1_700_000_000_000


def fast(attempts):
    return History(attempts=attempts, first_attempt_ms=T0)


def slow(slow_attempts, attempts=3):
    return History(
        attempts=attempts + slow_attempts, first_attempt_ms=T0, slow_attempts=slow_attempts
    )


def step(reason, history, *, after_s=0.0, jitter=0.5, retry_after_s=None, retry=RETRY):
    failed = Failed(reason, retry_after_s=retry_after_s)
    return next_step(failed, history, retry, T0 + round(after_s * 1000), jitter)


def parked_s(decision, after_s=0.0):
    """Seconds until a parked event is due."""
    assert isinstance(decision, Park)
    return (decision.due_ms - T0) / 1000 - after_s


@pytest.mark.parametrize(
    ("reason", "bound"), [(Reason.STATUS, 3), (Reason.NETWORK, 2), (Reason.TIMEOUT, 3)]
)
def test_the_table(reason, bound):
    """Status and time-out have three attempts, network errors two, 0.5 s and 2 s apart."""
    waits = [0.5, 2.0]
    for attempts in range(1, bound):
        assert step(reason, fast(attempts)) == RetryIn(waits[attempts - 1], 6.0)
    assert isinstance(step(reason, fast(bound)), Park)


def test_the_last_time_out_is_cut_to_what_is_left():
    """Three time-outs fill the 15 s: 6 + 0.5 + 6 + 2 leave half a second."""
    assert step(Reason.TIMEOUT, fast(1), after_s=6) == RetryIn(0.5, 6.0)
    assert step(Reason.TIMEOUT, fast(2), after_s=12.5) == RetryIn(2.0, 0.5)


def test_an_attempt_without_time_is_not_started():
    """With less than a quarter of a second left, the slow lane takes over."""
    assert step(Reason.TIMEOUT, fast(2), after_s=12.75) == RetryIn(2.0, 0.25)
    assert isinstance(step(Reason.TIMEOUT, fast(2), after_s=12.76), Park)


def test_mixed_failures_go_by_the_latest():
    """Two attempts made: another for a status, none for a network error."""
    assert isinstance(step(Reason.STATUS, fast(2)), RetryIn)
    assert isinstance(step(Reason.NETWORK, fast(2)), Park)


@pytest.mark.parametrize("reason", [Reason.UNAUTHORIZED, Reason.EGRESS])
def test_what_needs_people_goes_to_the_slow_lane_at_once(reason):
    """A rotated secret, a deploy or a wrong address is not healed in 15 s."""
    assert parked_s(step(reason, fast(1))) == 15


def test_a_short_retry_after_is_waited_for_in_the_fast_lane():
    """It lengthens the wait of the table, and never shortens it."""
    assert step(Reason.STATUS, fast(1), retry_after_s=3.0) == RetryIn(3.0, 6.0)
    assert step(Reason.STATUS, fast(2), retry_after_s=1.0) == RetryIn(2.0, 6.0)


def test_a_long_retry_after_goes_straight_to_the_slow_lane():
    """The event is due when the receiver said, at most an hour from now."""
    assert parked_s(step(Reason.STATUS, fast(1), retry_after_s=120)) == 120
    assert parked_s(step(Reason.STATUS, fast(1), retry_after_s=9e9)) == HOUR_S


def test_the_slow_lane_doubles_with_full_jitter():
    """Delays are drawn from 0 to a ceiling that doubles from 30 s to an hour."""
    almost = 1 - 2**-53
    ceilings = [parked_s(step(Reason.STATUS, slow(n), jitter=almost)) for n in range(10)]
    assert ceilings == pytest.approx([30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600], abs=1)
    assert parked_s(step(Reason.STATUS, slow(3), jitter=0.25)) == 60
    assert parked_s(step(Reason.STATUS, slow(3), jitter=0.0)) == 1


def test_many_attempts_do_not_overflow():
    """After years of trying a delay is still an hour at most."""
    retry = RetryOptions(slow_horizon_s=1e9)
    assert parked_s(step(Reason.STATUS, slow(100_000), jitter=0.5, retry=retry)) == HOUR_S / 2


def test_a_retry_after_is_a_lower_bound_in_the_slow_lane():
    """Jitter never brings an event back before the receiver wants it."""
    assert parked_s(step(Reason.STATUS, slow(0), jitter=0.1, retry_after_s=20)) == 20
    assert parked_s(step(Reason.STATUS, slow(5), jitter=0.5, retry_after_s=20)) == 480


def test_the_slow_lane_is_never_left_for_the_fast_one():
    """A failure in the slow lane is parked again, whatever its kind."""
    for reason in (Reason.STATUS, Reason.NETWORK, Reason.TIMEOUT):
        assert isinstance(step(reason, slow(1, attempts=0)), Park)


def test_the_last_attempt_happens_at_the_horizon():
    """A due time beyond the horizon is cut to it; after the attempt made there, none follows."""
    before_s = RETRY.slow_horizon_s - 10
    decision = step(Reason.STATUS, slow(9), after_s=before_s, retry_after_s=600)
    assert parked_s(decision) == RETRY.slow_horizon_s
    assert step(Reason.STATUS, slow(10), after_s=RETRY.slow_horizon_s) is None


def test_no_horizon_is_no_slow_lane():
    """With a horizon of 0 the fast lane still has its attempts, and that is all."""
    retry = RetryOptions(slow_horizon_s=0)
    assert isinstance(step(Reason.STATUS, fast(1), retry=retry), RetryIn)
    assert step(Reason.STATUS, fast(3), retry=retry) is None


def test_a_clock_set_back_does_not_lengthen_the_fast_lane():
    """Time that seems to run backwards counts as none spent."""
    assert step(Reason.STATUS, fast(1), after_s=-3600) == RetryIn(0.5, 6.0)


def test_no_waits_are_no_wait():
    """An empty table of waits retries at once; a short one repeats its last wait."""
    assert step(Reason.STATUS, fast(1), retry=RetryOptions(waits_s=())) == RetryIn(0.0, 6.0)
    assert step(Reason.STATUS, fast(2), retry=RetryOptions(waits_s=(1.0,))) == RetryIn(1.0, 6.0)


def test_a_history_counts():
    """Attempts count over both lanes; the first one's start stays."""
    first = History().begin("fast", T0)
    assert first == History(attempts=1, first_attempt_ms=T0)
    assert first.lane == "fast"
    later = first.begin("slow", T0 + 60_000)
    assert later == History(attempts=2, first_attempt_ms=T0, slow_attempts=1)
    assert later.lane == "slow"


def test_first_time_outs():
    """The first attempt has 6 s, or all of the fast lane if that is shorter."""
    assert first_timeout_s("fast", RETRY) == 6.0
    assert first_timeout_s("fast", RetryOptions(timeout_s=20)) == 15.0
    assert first_timeout_s("slow", RetryOptions(timeout_s=20)) == 20
