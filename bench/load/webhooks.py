"""Distinct, correctly signed webhooks, rendered whole before anybody looks at a clock. Pure.

A body is a function of the run's token, its number and its size, so whoever knows these can say
what must be stored, byte for byte. No number is used twice in a run: a repeated body would
measure the path of duplicates.
"""

from hashlib import sha256
from hmac import digest

APP = "bench-key"
SECRET = "bench-secret"
PATH = "/webhooks/stream"
CALLS = 1000  # distinct calls that the events spread over

_HEAD = (
    b'{"type":"call.session_participant_joined","created_at":"2026-11-20T10:01:15.063469421Z",'
    b'"call_cid":"default:consult-%06d","session_id":"%s-%012d","participant":{"user":{'
    b'"id":"alice-7","name":"Alice Moreau","image":"https://images.example.com/a?id=7\\u0026s=128",'
    b'"custom":{"plan":"pro","note":"'
)
_TAIL = (
    b'"},"language":"en","role":"user","teams":[],"created_at":"2026-03-02T08:15:44.753365Z",'
    b'"banned":false,"online":true},"role":"user","joined_at":"2026-11-20T10:01:15.040260662Z"}}'
)
_REQUEST = (
    b"POST " + PATH.encode() + b" HTTP/1.1\r\nHost: gateway.example.com\r\n"
    b"User-Agent: Go-http-client/1.1\r\nContent-Length: %d\r\nContent-Type: application/json\r\n"
    b"X-Api-Key: " + APP.encode() + b"\r\nX-Signature: %s\r\nX-Webhook-Attempt: 1\r\n"
    b"X-Webhook-Id: 7d5b1c3e-8f2a-4b6d-9c1e-%012d\r\nAccept-Encoding: gzip\r\n\r\n%s"
)


def call_cid(number: int) -> str:
    return f"default:consult-{number % CALLS:06d}"


def body(token: str, number: int, size: int, calls: int = CALLS) -> bytes:
    """Return event `number` of the run called `token`: JSON of exactly `size` bytes."""
    head = _HEAD % (number % calls, token.encode(), number)
    return head + b"x" * (size - len(head) - len(_TAIL)) + _TAIL


def number_of(body: bytes) -> int:
    """Return the number of an event from its body."""
    start = body.index(b'"session_id":"') + 14
    return int(body[start : body.index(b'"', start)].rpartition(b"-")[2])


def request(payload: bytes, number: int, *, forged: bool = False) -> bytes:
    """Return the whole HTTP request for a body; `forged` signs it with another secret."""
    secret = b"not-the-secret" if forged else SECRET.encode()
    signature = digest(secret, payload, sha256).hex().encode()
    return _REQUEST % (len(payload), signature, number, payload)


def requests(token: str, first: int, count: int, size: int, calls: int = CALLS) -> list[bytes]:
    """Return `count` requests from number `first` on, in memory, ready to be written."""
    return [request(body(token, n, size, calls), n) for n in range(first, first + count)]
