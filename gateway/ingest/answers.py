"""Every answer that a webhook can get, and its bytes. Pure.

Stream gives up for good on a 4xx other than 408 and 429: our own fault is therefore never one,
but a 503 with Retry-After. Both paths, the fast one and aiohttp's, answer with these and nothing
else. Texts never say which check failed where that would help to guess a secret.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Protocol

import orjson


@dataclass(frozen=True, slots=True, eq=False)  # compared and hashed by identity: a hot dict key
class Answer:
    """A status with a small JSON body. `closes`: the connection cannot be used after it."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False

    @property
    def body(self) -> bytes:
        if self.status == HTTPStatus.OK:
            return b"{}"
        return orjson.dumps({"error": {"code": self.code, "message": self.message}})


class Reply(Protocol):
    """Whoever waits for the answer to one accepted webhook."""

    read_at: float  # time.perf_counter() when the webhook's last byte was read

    def resolve(self, answer: Answer) -> None:
        """Give the answer; called exactly once. Never raises."""


def _retry_after(seconds: int) -> tuple[tuple[str, str], ...]:
    return (("Retry-After", str(seconds)),)


STORED = Answer(200, "stored", "")
BAD_REQUEST = Answer(400, "bad_request", "this is not a proper HTTP request", closes=True)
UNAUTHORIZED = Answer(401, "unauthorized", "the signature does not verify")
NOT_FOUND = Answer(404, "not_found", "there is nothing here")
METHOD_NOT_ALLOWED = Answer(
    405, "method_not_allowed", "this address takes no such method", (("Allow", "POST"),)
)
REQUEST_TIMEOUT = Answer(408, "request_timeout", "the request took too long", closes=True)
LENGTH_REQUIRED = Answer(411, "length_required", "Content-Length or chunked encoding is required")
TOO_LARGE = Answer(413, "too_large", "the body is too large", closes=True)
INFLATES_TOO_LARGE = Answer(413, "too_large", "the body is too large")  # it was read: stay open
UNSUPPORTED_ENCODING = Answer(
    415, "unsupported_encoding", "send gzip or no encoding", (("Accept-Encoding", "gzip"),)
)
EXPECTATION_FAILED = Answer(
    417, "expectation_failed", "only 100-continue can be expected", closes=True
)
HEADERS_TOO_LARGE = Answer(431, "headers_too_large", "the headers are too large", closes=True)
UNAVAILABLE = Answer(503, "unavailable", "cannot store now, try again", _retry_after(1))
JOURNAL_FULL = Answer(503, "journal_full", "cannot store now, try again", _retry_after(5))
TOO_MANY_CONNECTIONS = Answer(
    503, "too_many_connections", "too many connections", _retry_after(1), closes=True
)
INTERNAL = Answer(503, "internal", "something went wrong here, try again", _retry_after(1))


class Wire:
    """Renders answers as HTTP/1.1, once per second and answer because of their Date.

    `tick` from a timer; between ticks an answer is one dict look-up.
    """

    def __init__(self, now_s: float) -> None:
        self._second = -1
        self._date = ""
        self._open: dict[Answer, bytes] = {}
        self._closing: dict[Answer, bytes] = {}
        self.stored = b""  # what nearly everybody is answered, without a look-up
        self.tick(now_s)

    def tick(self, now_s: float) -> None:
        """Take the Unix time in seconds."""
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._date = format_datetime(datetime.fromtimestamp(self._second, UTC), usegmt=True)
            self._open.clear()
            self._closing.clear()
            self.stored = self.render(STORED, close=False)

    def render(self, answer: Answer, *, close: bool) -> bytes:
        """Return the whole response; `close` adds `Connection: close`."""
        cache = self._closing if close else self._open
        known = cache.get(answer)
        if known is None:
            known = cache[answer] = self._render(answer, close=close)
        return known

    def _render(self, answer: Answer, *, close: bool) -> bytes:
        body = answer.body
        headers = [
            *answer.headers,
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Date", self._date),
        ]
        if close:
            headers.append(("Connection", "close"))
        lines = "".join(f"{name}: {text}\r\n" for name, text in headers)
        status = f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\n"
        return f"{status}{lines}\r\n".encode() + body
