"""Tokens, against PyJWT: what it makes is understood, what is bad is refused with Stream's code."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import jwts

from gateway.calls.errors import StreamError
from gateway.calls.tokens import Identity, Tokens, guest_key
from gateway.options import App

NOW = 1_800_000_000.0
APPS = (
    App(api_key="demo-key", secrets=("newest", "older")),
    App(api_key="other-key", secrets=("foreign",)),
)
tokens = Tokens(APPS)
with_guests = Tokens(APPS, {"demo-key"})


def made(secret="newest", algorithm="HS256", headers=None, **claims):
    return jwts.encode(claims, secret, algorithm=algorithm, headers=headers)


def refused(token, api_key="demo-key", now_s=NOW, by=tokens):
    with pytest.raises(StreamError) as error:
        by.verify(api_key, token, now_s)
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
        ({"exp": NOW}, 40),
        ({"exp": 0}, 40),
        ({"exp": NOW - 1, "iat": NOW + 99}, 40),
        ({"nbf": NOW + 60}, 41),
        ({"iat": NOW + 60}, 42),
        ({"user_id": 7}, 5),
        ({"user_id": None}, 5),
        ({"user_id": ""}, 5),
        ({"user_id": "a\nb"}, 5),
        ({"user_id": "x" * 256}, 5),
        ({"call_cids": "a:b"}, 5),
        ({"call_cids": [1]}, 5),
        ({"exp": "soon"}, 5),
        ({"exp": True}, 5),
        ({"role": 1}, 5),
    ],
)
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
        ({"alg": "none"}, 43),
        ({"alg": "hs256"}, 43),
        ({"alg": "HS256", "crit": ["b64"]}, 43),
        ({}, 5),
        ({"alg": ["HS256"]}, 5),
        ([], 5),
    ],
)
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
        None,
        "",
        "a",
        "a.b",
        "a.b.c.d",
        "..",
        "é.é.é",
        "\ud800.a.b",
        "a" * 9000,
        "a" * 3000 + "." + "b" * 3000 + "." + "c" * 3000,
        "===.===.===",
    ],
)
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


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.parametrize("depth", [100, 1000, 2500, 2900])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_parts_that_nest(part, depth, brackets):
    """However deep, it is refused in order, whoever has signed it; or passed over, where it may be."""
    opening, closing = (brackets[0], brackets[1]) if brackets == "[]" else ('{"a":', "}")
    nested = opening * depth + "1" + closing * depth
    named = ('"alg":"HS256"', '"user_id":"a"')[part]
    parts = made(user_id="a").split(".")
    parts[part] = _part(f'{{{named},"x":{nested}}}'.encode())
    if len(".".join(parts)) > 8192:
        assert refused(".".join(parts)) == 5
        return
    unsigned, own = ".".join(parts), _signed(parts[0], parts[1])
    assert refused(unsigned) in {5, 43}
    try:
        assert tokens.verify("demo-key", own, NOW).user_id == "a"
    except StreamError as error:
        assert error.code == 5  # noqa: PT017


def _part(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _signed(header, payload):
    import hmac

    content = f"{header}.{payload}"
    return f"{content}.{_part(hmac.digest(b'newest', content.encode(), 'sha256'))}"


def issued(by=with_guests, **more):
    return by.issue_guest("demo-key", "guest-1-zoe", **{"now_s": NOW, "lifetime_s": 60, **more})


def test_a_guests_token():
    """PyJWT reads it by the derived key, and by no secret of the app: at Stream it is worthless."""
    token, lenient = issued(), {"verify_iat": False, "verify_exp": False}
    key = guest_key("newest")
    claims = jwts.decode(token, key, algorithms=["HS256"], options=lenient)
    assert claims == {"user_id": "guest-1-zoe", "iat": NOW, "exp": NOW + 60, "role": "guest"}
    for secret in ("newest", "older"):
        with pytest.raises(jwt.InvalidSignatureError):
            jwts.decode(token, secret, algorithms=["HS256"], options=lenient)
    identity = with_guests.verify("demo-key", token, NOW + 59)
    assert identity == Identity("demo-key", "guest-1-zoe", frozenset(), NOW + 60, "guest")
    assert refused(token, now_s=NOW + 60, by=with_guests) == 40


def test_guests_of_an_app_without_guests():
    """Once they are switched off, and in every other app, their tokens are no tokens."""
    assert refused(issued()) == 43
    assert refused(issued(), "other-key", by=with_guests) == 43
    assert refused(issued(), by=Tokens(APPS, {"other-key"})) == 43


def test_guests_while_a_secret_is_rotated():
    """Tokens are good as long as the secret is live from which their key comes; the newest signs."""

    def app(*secrets):
        return Tokens([App(api_key="demo-key", secrets=secrets)], {"demo-key"})

    token = issued(by=app("older"))
    assert app("newest", "older").verify("demo-key", token, NOW).user_id == "guest-1-zoe"
    assert refused(token, by=app("newest")) == 43
    assert app("newest").verify("demo-key", issued(), NOW).user_id == "guest-1-zoe"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"server": True},
        {"user_id": "alice"},
        {"user_id": "guest"},
        {"user_id": ""},
        {"user_id": "Guest-1"},
        {"user_id": "guest-\n"},
        {"user_id": "guest-" + "x" * 255},
        {"user_id": None},
        {"call_cids": ["a:b"]},
    ],
)
def test_a_guests_key_makes_nobody_else(claims):
    """No server, and no user of another name than a guest's."""
    assert refused(made(guest_key("newest"), **claims), by=with_guests) == 5


def test_a_guests_key_gives_no_rights():
    """Whatever its token says: of the claims only the guest's id and the times count."""
    token = made(
        guest_key("older"), user_id="guest-1", role="admin", call_cids=["a:b"], server=True
    )
    assert with_guests.verify("demo-key", token, NOW) == Identity(
        "demo-key", "guest-1", role="guest"
    )


def test_the_key_of_guests_is_what_it_was():
    """Whatever version made a guest's token, every other one takes it."""
    assert guest_key("demo-secret").hex() == (  # openssl dgst -sha256 -hmac demo-secret
        "4e1f2ead64a0ef968d040022d0b5d9223ecfd19d18c47d74ddf4d27b547ca19c"
    )
