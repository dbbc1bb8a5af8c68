"""Tokens, against PyJWT: what it makes is understood, what is bad is refused with Stream's code."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import jwts

from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity, Tokens
from gateway.options import App

NOW = 1_800_000_000.0
APPS = (
    App(api_key="demo-key", secrets=("newest", "older")),
    App(api_key="other-key", secrets=("foreign",)),
)
tokens = Tokens(APPS)


def made(secret="newest", algorithm="HS256", headers=None, **claims):
    return jwts.encode(claims, secret, algorithm=algorithm, headers=headers)


def refused(token, api_key="demo-key", now_s=NOW):
    with pytest.raises(StreamError) as error:
        tokens.verify(api_key, token, now_s)
    assert error.value.status == 401
    told = error.value.message
    assert not any(secret in told for secret in ("newest", "older", "foreign"))
    assert not token or len(token) < 20 or token not in told
    return error.value.code


@pytest.mark.parametrize("secret", ["newest", "older"])
def test_a_users_token(secret):
    """Both live secrets of the app are good; all that the token says is in the identity."""
    token = made(secret, user_id="alice", exp=NOW + 60, iat=NOW, role="guest", call_cids=["a:b"])
    expected = Identity("demo-key", "alice", frozenset({"a:b"}), NOW + 60, "guest")
    assert tokens.verify("demo-key", token, NOW) == expected
    assert not expected.is_server


@pytest.mark.parametrize("claims", [{}, {"server": True}, {"server": True, "exp": NOW + 1}])
def test_a_servers_token(claims):
    """A valid signature without a user is an application's server: `{}` too."""
    assert tokens.verify("demo-key", made(**claims), NOW).is_server


def test_what_python_and_node_add_is_passed_over():
    """iat a little ahead of our clock, iss, sub and the rest."""
    claims = {"iat": NOW + 5, "iss": "x", "sub": "user/a", "validity_in_seconds": 9, "exp": None}
    assert tokens.verify("demo-key", made(user_id="a", **claims), NOW).user_id == "a"


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"exp": NOW}, 40), ({"exp": 0}, 40), ({"exp": NOW - 1, "iat": NOW + 99}, 40),
        ({"nbf": NOW + 60}, 41), ({"iat": NOW + 60}, 42),
        ({"user_id": 7}, 5), ({"user_id": None}, 5), ({"user_id": ""}, 5),
        ({"user_id": "a\nb"}, 5), ({"user_id": "x" * 256}, 5), ({"call_cids": "a:b"}, 5),
        ({"call_cids": [1]}, 5), ({"exp": "soon"}, 5), ({"exp": True}, 5), ({"role": 1}, 5),
    ],
)  # fmt: skip
def test_claims_that_are_refused(claims, code):
    """Each with Stream's code; a user that cannot be one is never taken for a server."""
    assert refused(made(**{"user_id": "alice", **claims})) == code


def test_a_call_token_without_a_user_is_no_server():
    """What was meant to be limited is not widened."""
    assert refused(made(call_cids=["a:b"])) == 5


@pytest.mark.parametrize("secret", ["wrong", "foreign", "\0"])
def test_another_secret(secret):
    """Also that of another app of ours, and none."""
    assert refused(made(secret, user_id="alice")) == 43


@pytest.mark.parametrize("algorithm", ["none", "HS512", "HS384"])
def test_another_algorithm(algorithm):
    """The algorithm is ours to choose, whatever the token says and however it is signed."""
    secret = None if algorithm == "none" else "newest"
    assert refused(made(secret, algorithm, user_id="alice")) == 43


def _signed_anew(token, header):
    """HS256 by the right secret, under a header of our choice."""
    import hashlib
    import hmac

    part = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    content = f"{part}.{token.split('.')[1]}"
    digest = hmac.digest(b"newest", content.encode(), hashlib.sha256)
    return f"{content}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ({"alg": "none"}, 43), ({"alg": "hs256"}, 43), ({"alg": "HS256", "crit": ["b64"]}, 43),
        ({}, 5), ({"alg": ["HS256"]}, 5), ([], 5),
    ],
)  # fmt: skip
def test_headers_that_are_refused(header, code):
    """Though the signature over them is right."""
    assert tokens.verify("demo-key", _signed_anew(made(user_id="a"), {"alg": "HS256"}), NOW)
    assert refused(_signed_anew(made(user_id="a"), header)) == code


def test_devtokens_are_refused():
    """Stream takes them where checks are switched off; here they never are."""
    assert refused(made(user_id="alice").rpartition(".")[0] + ".devtoken") == 43


@pytest.mark.parametrize(
    "token",
    [
        None, "", "a", "a.b", "a.b.c.d", "..", "é.é.é", "\ud800.a.b", "a" * 9000,
        "a" * 3000 + "." + "b" * 3000 + "." + "c" * 3000, "===.===.===",
    ],
)  # fmt: skip
def test_no_token_at_all(token):
    """Nothing that is no token is looked at further than its bounds."""
    assert refused(token) == 5


@pytest.mark.parametrize("api_key", [None, "", "no-such-key"])
def test_an_app_that_nobody_knows(api_key):
    """Code 2, before anything else."""
    assert refused(made(user_id="alice"), api_key) == 2


def test_another_apps_token():
    """A user of one app is nobody in another."""
    token = made("foreign", user_id="alice")
    assert tokens.verify("other-key", token, NOW).app == "other-key"
    assert refused(token, "demo-key") == 43


@given(st.binary(max_size=200), st.integers(0, 2))
def test_any_bytes_are_refused_in_order(noise, part):
    """Whatever stands in a part of a token, the outcome is an identity or Stream's error."""
    whole = made(user_id="alice")
    parts = whole.split(".")
    parts[part] = base64.urlsafe_b64encode(noise).rstrip(b"=").decode()
    assert ".".join(parts) == whole or refused(".".join(parts)) in {5, 43}


@given(st.text(max_size=100))
def test_any_text_is_refused_in_order(noise):
    assert refused(noise) == 5


def test_issued_tokens():
    """PyJWT reads them, and so do we; by the newest secret, for their time."""
    token = tokens.issue("demo-key", "guest-1", now_s=NOW, lifetime_s=60, role="guest")
    claims = jwts.decode(token, "newest", algorithms=["HS256"], options={"verify_iat": False})
    assert claims == {"user_id": "guest-1", "iat": NOW, "exp": NOW + 60, "role": "guest"}
    identity = tokens.verify("demo-key", token, NOW + 59)
    assert (identity.user_id, identity.role, identity.expires_s) == ("guest-1", "guest", NOW + 60)
    assert refused(token, now_s=NOW + 60) == 40
