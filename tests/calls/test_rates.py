"""How fast users and calls may have events made for them, as one process counts."""

from gateway.calls.rates import _MOST, RateBounds, Rates, too_fast
from gateway.calls.tokens import Identity
from gateway.options import FeedOptions

CID = "default:room"
BOUNDS = RateBounds(FeedOptions())


def user(name, app="app"):
    return Identity(app, name)


def event(rates, sender, cid, now_s):
    return rates.take(BOUNDS.event(sender, cid), now_s)


def taken(rates, sender, count, now_s, cid=CID):
    """How many of `count` are let through."""
    return sum(event(rates, sender, cid, now_s) is None for _ in range(count))


def test_a_user_has_a_burst_and_then_a_rate():
    """30 at once, 10 a second from then on, and 30 again after a silence; others have their own."""
    rates = Rates()
    assert taken(rates, user("ann"), 50, 0.0) == 30
    wait = event(rates, user("ann"), CID, 0.0)
    assert (wait.seconds, wait.rate.name) == (0.1, "user")
    assert taken(rates, user("ann"), 50, 1.0) == 10
    assert taken(rates, user("ann"), 50, 1000.0) == 30
    assert taken(rates, user("ann", "another"), 50, 1000.0) == 30
    assert taken(rates, user("ben"), 50, 1000.0) == 30


def test_a_call_has_one_for_all():
    """Whoever sends, servers too; what is refused costs nobody anything, and another call goes on."""
    rates = Rates()
    crowd = [user(f"u{n}") for n in range(40)]
    assert sum(taken(rates, one, 10, 0.0) for one in crowd) == 300
    assert event(rates, crowd[-1], CID, 0.0).rate.name == "call"
    assert event(rates, Identity("app", None), CID, 0.0).rate.name == "call"
    assert taken(rates, crowd[-1], 40, 0.0, "default:other") == 30
    assert taken(rates, Identity("app", None), 500, 0.0, "default:servers") == 300
    assert taken(rates, crowd[0], 50, 1.0) == 30
    assert sum(taken(rates, one, 50, 1.0) for one in crowd) == 70


def test_what_is_remembered_is_bounded():
    """However many come; who has fallen silent is forgotten without a gain, who has not is not."""
    rates = Rates()
    for n in range(3 * _MOST):
        now_s = n / 10_000
        event(rates, user(f"u{n}"), f"default:{n}", now_s)
        if n % 1000 == 0:
            assert taken(rates, user("eve"), 30, now_s, "default:eve") <= (30 if n == 0 else 2)
    assert len(rates._buckets["user"]._left) <= _MOST
    assert len(rates._buckets["call"]._left) <= _MOST
    event(rates, user("last"), CID, 1e6)
    event(rates, user("last"), CID, 1e6)
    for n in range(_MOST):
        event(rates, user("last"), CID, 1e6 + n)
    assert list(rates._buckets["user"]._left) == [("app", "last")]


def test_who_is_too_fast_is_told_when_to_come_again():
    """In whole seconds, one at least."""
    bounds = RateBounds(FeedOptions(user_events_per_s=1, user_events_burst=1))
    rates, claims = Rates(), bounds.event(user("ann"), CID)
    assert rates.take(claims, 0.0) is None
    error = too_fast(rates.take(claims, 0.0))
    assert (error.code, error.status, error.retry_after_s) == (9, 429, 1)


def test_what_was_counted_elsewhere_holds_here_too():
    """For as long as it is told, never shorter than what is counted here says."""
    rates = Rates()
    (own, _) = claims = BOUNDS.event(user("ann"), CID)
    rates.hold(own, 2.0, 0.0)
    assert rates.look(claims, 0.0).seconds == 2.0
    rates.hold(own, 1.0, 0.0)
    assert rates.look(claims, 0.0).seconds == 2.0
    assert rates.take(claims, 1.9).rate.name == "user"
    assert rates.take(claims, 2.1) is None


def test_what_a_server_may_make():
    """Calls without a bound of ours; events up to the call's."""
    server = Identity("app", None)
    assert BOUNDS.new_call(server) == BOUNDS.request(server) == ()
    assert [one.rate.name for one in BOUNDS.event(server, CID)] == ["call"]
    assert [one.rate.name for one in BOUNDS.new_call(user("ann"))] == ["user", "new_calls"]
