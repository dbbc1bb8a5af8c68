"""Plain requests, cut out of what a connection has read, strictly. Pure.

This parser never argues about HTTP. It takes exactly what a well-behaved client sends for a body
of known length; at anything else (chunked, Expect, Upgrade, a header twice, a control character,
a folded line, a bare line feed ...) it says `Elsewhere`, and aiohttp's parser decides. So there is
no request that the two understand differently.
"""

import re
from typing import NamedTuple

from gateway.ingest.answers import HEADERS_TOO_LARGE, TOO_LARGE, Answer

MAX_HEAD_BYTES = 16 << 10
MAX_LENGTH_DIGITS = 18
_MAX_NAMES = 1024
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Everything but tab: with the line ends counted apart, none of these may be left.
_CONTROLS = bytes(byte for byte in (*range(32), 127) if byte != ord("\t"))

_IGNORED, _HOST, _LENGTH, _SIGNATURE, _API_KEY, _WEBHOOK_ID, _ENCODING, _CONNECTION = range(8)
_KINDS = 8
_ELSEWHERE = -1
_KNOWN = {
    b"host": _HOST,
    b"content-length": _LENGTH,
    b"x-signature": _SIGNATURE,
    b"x-api-key": _API_KEY,
    b"x-webhook-id": _WEBHOOK_ID,
    b"content-encoding": _ENCODING,
    b"connection": _CONNECTION,
    b"transfer-encoding": _ELSEWHERE,
    b"expect": _ELSEWHERE,
    b"upgrade": _ELSEWHERE,
}
# Names as they were spelled, checked once; bounded, because the outside fills it.
_names: dict[bytes, int] = {}


class RequestHead:
    """What the fast path needs of a head. Values are bytes as received, None if absent."""

    __slots__ = (
        "api_key",
        "close",
        "content_encoding",
        "content_length",
        "signature",
        "webhook_id",
    )

    def __init__(self, values: list[bytes | None], length: int, *, close: bool) -> None:
        self.content_length = length
        self.close = close
        self.signature = values[_SIGNATURE]
        self.api_key = values[_API_KEY]
        self.webhook_id = values[_WEBHOOK_ID]
        self.content_encoding = values[_ENCODING]


class Request(NamedTuple):
    """A whole one: its body lies from `body_start` to its `end`."""

    head: RequestHead
    body_start: int
    end: int


class More(NamedTuple):
    """Not whole. `need_bytes`: how long it will be; 0 while its head is not whole."""

    need_bytes: int


class Elsewhere(NamedTuple):
    """Not for the fast path."""


_UNTOLD, _ELSEWHERE_IT_IS = More(0), Elsewhere()


def cut(
    data: bytes, start: int, line: bytes, max_body_bytes: int
) -> Request | More | Elsewhere | Answer:
    """Return the request that begins at `start`, or what to do instead.

    `line`: the request line of a webhook, with its line end. An `Answer` refuses what need not be
    read to its end.
    """
    if not data.startswith(line, start):
        return _UNTOLD if line.startswith(data[start:]) else _ELSEWHERE_IT_IS
    head_end = data.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)
    if head_end < 0:
        return _UNTOLD if len(data) - start < MAX_HEAD_BYTES else HEADERS_TOO_LARGE
    head = parse_head(data[start + len(line) : head_end])
    if head is None:
        return _ELSEWHERE_IT_IS
    if head.content_length > max_body_bytes:
        return TOO_LARGE
    body_start = head_end + 4
    end = body_start + head.content_length
    return Request(head, body_start, end) if end <= len(data) else More(end - start)


def _learn(name: bytes) -> int:
    """Return what to do with a header of a name not seen before."""
    if not _TOKEN.fullmatch(name):
        return _ELSEWHERE
    kind = _KNOWN.get(name.lower(), _IGNORED)
    if len(_names) < _MAX_NAMES:
        _names[name] = kind
    return kind


def parse_head(lines_block: bytes) -> RequestHead | None:
    """Parse the header lines between the request line and the empty line.

    None: not for the fast path.
    """
    lines = lines_block.split(b"\r\n")
    if len(lines_block.translate(None, _CONTROLS)) != len(lines_block) - 2 * (len(lines) - 1):
        return None
    values = _collect(lines)
    if values is None:
        return None
    length = values[_LENGTH]
    if not values[_HOST] or not length or not length.isdigit() or len(length) > MAX_LENGTH_DIGITS:
        return None
    connection = values[_CONNECTION]
    if connection is None:
        return RequestHead(values, int(length), close=False)
    connection = connection.lower()
    if connection not in (b"close", b"keep-alive"):
        return None
    return RequestHead(values, int(length), close=connection == b"close")


def _collect(lines: list[bytes]) -> list[bytes | None] | None:
    """Return the values of the known headers, or None if there is one that we do not take."""
    values: list[bytes | None] = [None] * _KINDS
    names = _names
    for line in lines:
        name, colon, value = line.partition(b":")
        kind = names.get(name)
        if kind is None:
            kind = _learn(name)
        if not colon:
            return None
        if kind == _IGNORED:
            continue
        if kind == _ELSEWHERE or values[kind] is not None:
            return None
        values[kind] = value.strip(b" \t")
    return values
