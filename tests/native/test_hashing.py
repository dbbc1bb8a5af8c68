"""Whatever code hashes, it hashes as hashlib does; and each that can run here is tried."""

import hashlib
import hmac

import pytest

from gateway import native
from gateway.native import _native
from gateway.options import App

LINE = b"POST / HTTP/1.1\r\n"
# Of the identity goes in first: an API key and a zero. So the two hashes of a body, its own and its
# signature's, stand apart by every number of bytes in a block.
APPS = tuple(
    App(api_key="k" * size, secrets=("s" * size, "t" * (size + 40))) for size in range(1, 65)
)

pytestmark = pytest.mark.skipif(not native.IS_BUILT, reason="the C piece is not built here")


@pytest.fixture(params=_native.HASHINGS if native.IS_BUILT else ["none"])
def hashing(request):
    before = _native.hashing()
    _native.hash_by(request.param)
    yield request.param
    _native.hash_by(before)


def signed(body, app, secret):
    signature = hmac.digest(app.secrets[secret].encode(), body, "sha256").hex()
    lines = (
        b"Host: h",
        b"Content-Length: %d" % len(body),
        b"X-Signature: " + signature.encode(),
        b"X-API-KEY: " + app.api_key.encode(),
    )
    return LINE + b"\r\n".join(lines) + b"\r\n\r\n" + body


def taken(ring, data):
    return ring.take(data, 0, LINE, 4096, 100_000, 1)


def test_it_hashes_as_hashlib_does(hashing):
    """A webhook signed by hashlib is taken, and its event has the key that hashlib makes, whatever
    the length of the body, of the API key and of the secret; of one bit less, nothing is.
    """
    assert _native.hashing() == hashing
    ring = native.keyring(APPS)
    for length in (*range(12, 200), 1000, 65_536):
        body = b'{"type":"' + b"t" * (length - 11) + b'"}'
        for app in APPS[length % 8 :: 8]:
            for secret in (0, 1):
                data = signed(body, app, secret)
                size, event = taken(ring, data)
                assert (size, event.body) == (len(data), body)
                named = app.api_key.encode() + b"\0" + body
                assert event.key == hashlib.sha256(named).digest()[:16]
                forged = data[:-3] + bytes([data[-3] ^ 1]) + data[-2:]
                assert taken(ring, forged) == (len(data), None)


def test_a_hash_goes_on_by_any_code(hashing):
    """What one code has begun another one ends: a keyring made before a change goes on as well."""
    ring = native.keyring(APPS)
    for other in _native.HASHINGS:
        _native.hash_by(other)
        assert taken(ring, signed(b'{"type":"a"}', APPS[9], 1))[1] is not None


def test_the_best_code_is_in_use():
    """It is the first of those that can run here, the last of which runs everywhere."""
    assert _native.hashing() == _native.HASHINGS[0]
    assert _native.HASHINGS[-1] == "portable"


def test_what_cannot_run_here_is_refused():
    """Nothing else is chosen, and what was in use stays."""
    before = _native.hashing()
    with pytest.raises(ValueError, match="cannot hash by 'z80'"):
        _native.hash_by("z80")
    with pytest.raises(TypeError):
        _native.hash_by(1)
    assert _native.hashing() == before
