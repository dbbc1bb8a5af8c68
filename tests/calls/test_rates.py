"""How fast users and calls may have events made for them."""

from gateway.calls.rates import _MOST, Rates, too_fast
from gateway.calls.tokens import Identity
from gateway.options import FeedOptions

CID = "default:room"


def user(name, app="app"):
    return Identity(app, name)


def taken(rates, sender, count, now_s, cid=CID):
    """How many of `count` are let through."""
    return sum(rates.take(sender, cid, now_s) is None for _ in range(count))


def test_a_user_has_a_burst_and_then_a_rate():
    """30 at once, 10 a second from then on, and 30 again after a silence; others have their own."""
    rates = Rates(FeedOptions())
    assert taken(rates, user("ann"), 50, 0.0) == 30
    assert rates.take(user("ann"), CID, 0.0) == (0.1, "user")
    assert taken(rates, user("ann"), 50, 1.0) == 10
    assert taken(rates, user("ann"), 50, 1000.0) == 30
    assert taken(rates, user("ann", "another"), 50, 1000.0) == 30
    assert taken(rates, user("ben"), 50, 1000.0) == 30


def test_a_call_has_one_for_all():
    """Whoever sends, servers too; what is refused costs nobody anything, and another call goes on."""
    rates = Rates(FeedOptions())
    crowd = [user(f"u{n}") for n in range(40)]
    assert sum(taken(rates, one, 10, 0.0) for one in crowd) == 300
    assert rates.take(crowd[-1], CID, 0.0).bound == "call"
    assert rates.take(Identity("app", None), CID, 0.0).bound == "call"
    assert taken(rates, crowd[-1], 40, 0.0, "default:other") == 30
    assert taken(rates, Identity("app", None), 500, 0.0, "default:servers") == 300
    assert taken(rates, crowd[0], 50, 1.0) == 30
    assert sum(taken(rates, one, 50, 1.0) for one in crowd) == 70


def test_what_is_remembered_is_bounded():
    """However many come; who has fallen silent is forgotten without a gain, who has not is not."""
    rates = Rates(FeedOptions())
    for n in range(3 * _MOST):
        now_s = n / 10_000
        rates.take(user(f"u{n}"), f"default:{n}", now_s)
        if n % 1000 == 0:
            assert taken(rates, user("eve"), 30, now_s, "default:eve") <= (30 if n == 0 else 2)
    assert len(rates._users._left) <= _MOST
    assert len(rates._calls._left) <= _MOST
    rates.take(user("last"), CID, 1e6)
    rates.take(user("last"), CID, 1e6)
    for n in range(_MOST):
        rates.take(user("last"), CID, 1e6 + n)
    assert list(rates._users._left) == [("app", "last")]


def test_who_is_too_fast_is_told_when_to_come_again():
    """In whole seconds, one at least."""
    rates = Rates(FeedOptions(user_events_per_s=1, user_events_burst=1))
    assert rates.take(user("ann"), CID, 0.0) is None
    error = too_fast(rates.take(user("ann"), CID, 0.0))
    assert (error.code, error.status, error.retry_after_s) == (9, 429, 1)
