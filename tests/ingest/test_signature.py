import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st
from support.costs import assert_same_cost

from gateway.ingest.signature import Verifier
from gateway.keyed_hash import KeyedHash
from gateway.options import App

ONE = App(api_key="one", secrets=("new", "old"))
TWO = App(api_key="two", secrets=("second",))
VERIFIER = Verifier((ONE, TWO))


def sign(body, secret):
    return hmac.digest(secret.encode(), body, "sha256").hex().encode()


@given(key=st.binary(max_size=200), message=st.binary(max_size=500))
def test_it_is_hmac(key, message):
    """The copied key state signs as the standard library does, for keys of any length."""
    keyed = KeyedHash(key)
    expected = hmac.digest(key, message, "sha256").hex()
    assert keyed.sign(message) == keyed.sign(message) == expected


def test_the_key_picks_the_app():
    """A key has only its own app's secrets tried, each of them; no key, all secrets."""
    body = b"{}"
    for app, secret in ((ONE, "new"), (ONE, "old"), (TWO, "second")):
        signature = sign(body, secret)
        other = TWO if app is ONE else ONE
        assert VERIFIER.verify(app.api_key.encode(), body, signature) is app
        assert VERIFIER.verify(None, body, signature) is app
        assert VERIFIER.verify(other.api_key.encode(), body, signature) is None
        assert VERIFIER.verify(b"stranger", body, signature) is None


def test_an_unknown_key_costs_what_a_wrong_signature_costs():
    """Whoever measures learns no key, and not how many secrets it has."""
    body, wrong = b" " * 100_000, b"0" * 64
    assert_same_cost(
        [lambda key=key: VERIFIER.verify(key, body, wrong) for key in (b"one", b"two", b"none")]
    )


@given(signature=st.binary(max_size=80))
def test_anything_else_is_refused(signature):
    """No bytes but the right ones verify, and none raise."""
    assert VERIFIER.verify(None, b"body", signature) is None
    assert VERIFIER.verify(None, b"body", None) is None


def test_the_identity_of_an_event():
    """It is a digest of app and body: the same body of two apps is two events."""
    digest = hashlib.sha256(b"one\0body").digest()[:16]
    assert VERIFIER.event_key(ONE, b"body") == VERIFIER.event_key(ONE, b"body") == digest
    assert VERIFIER.event_key(TWO, b"body") != digest
