"""The answer of an HTTP receiver, parsed strictly and piece by piece. Pure.

The head is all or nothing: whatever RFC 9112 does not allow is `Malformed`. Once it is whole its
status is the answer, and nothing in the body can change that: a body that breaks its own framing,
ends early or is longer than we want only costs the connection (`reusable` stays False).

https://www.rfc-editor.org/rfc/rfc9112
"""

import re
from typing import NamedTuple

MAX_HEAD_BYTES = 32 << 10  # interim answers (1xx) included
SNIPPET_BYTES = 512
_MAX_LINE_BYTES = 4096  # of a chunk's size or a trailer
_MAX_LENGTH_DIGITS = 18

_TEXT = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: " + _TEXT + rb")?\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:" + _TEXT + rb"\r\n)*+\r\n"
)
_FIELDS = re.compile(
    rb"\r\n(content-length|transfer-encoding|connection|retry-after):[ \t]*([^\r]*)",
    re.IGNORECASE,
)
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;" + _TEXT + rb")?")
_STARTS = b"HTTP/1."
_UNTIL_CLOSE = -1


class Malformed(Exception):
    """What came is no answer in HTTP/1; the text quotes nothing of it."""


class HttpAnswer(NamedTuple):
    """`retry_after` as it was sent, empty if it was not; `snippet`: the start of the body."""

    status: int
    retry_after: str
    snippet: bytes


def _fields_of(head: bytes) -> dict[bytes, bytes]:
    """Return the header fields that matter here; those sent twice as one list (RFC 9110, 5.3)."""
    fields: dict[bytes, bytes] = {}
    for name, text in _FIELDS.findall(head):
        before = fields.get(name.lower())
        value = text.rstrip(b" \t")
        fields[name.lower()] = value if before is None else b"%b, %b" % (before, value)
    return fields


class AnswerParser:
    """Of one answer. Feed it until `done`; `reusable`: the connection may take another request."""

    __slots__ = (
        "_buffer",
        "_chunked",
        "_heads_bytes",
        "_in_trailer",
        "_left",
        "_max_body_bytes",
        "_retry_after",
        "_seen_bytes",
        "_snippet",
        "_stays",
        "done",
        "reusable",
        "status",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._buffer = b""  # of what cannot be understood before more has come
        self._heads_bytes = 0  # of interim answers
        self._left = 0  # bytes of the body, or of the chunk with its line end, still to come
        self._chunked = self._in_trailer = self._stays = False
        self._seen_bytes = 0
        self._snippet = b""
        self._retry_after = ""
        self.status = 0  # until the head is whole
        self.done = self.reusable = False

    @property
    def answer(self) -> HttpAnswer:
        return HttpAnswer(self.status, self._retry_after, self._snippet)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Malformed` where no status can come any more."""
        data = self._buffer + data if self._buffer else data
        self._buffer = b""
        while not self.status:
            end = data.find(b"\r\n\r\n") + 4
            if end == 3 or self._heads_bytes + end > MAX_HEAD_BYTES:
                self._wait_for_head(data)
                return
            self._read_head(data[:end])
            data = data[end:]
        if self._chunked:
            self._read_chunks(data)
        else:
            self._read_body(data)

    def end(self) -> None:
        """Note that the other side has closed. Raises `Malformed` if there is no status yet."""
        if not self.status:
            raise Malformed("the connection was closed before an answer")
        self.done = True

    def _wait_for_head(self, data: bytes) -> None:
        too_long = self._heads_bytes + len(data) > MAX_HEAD_BYTES
        bare_line_feed = data.count(b"\n") != data.count(b"\r\n")
        if too_long or bare_line_feed or data[:7] != _STARTS[: len(data)]:
            raise Malformed("the answer is not HTTP")
        self._buffer = data

    def _read_head(self, head: bytes) -> None:
        parts = _HEAD.fullmatch(head)
        if parts is None:
            raise Malformed("the answer is not HTTP")
        status = int(parts[2])
        if 100 <= status < 200 and status != 101:
            self._heads_bytes += len(head)
            return
        fields = _fields_of(head)
        self._frame(status, fields)
        connection = fields.get(b"connection", b"").lower().replace(b" ", b"").split(b",")
        persists = parts[1] == b"1" or b"keep-alive" in connection
        bounded = self._left != _UNTIL_CLOSE and status != 101
        self._stays = persists and bounded and b"close" not in connection
        self._retry_after = fields.get(b"retry-after", b"").decode("latin-1")
        self.status = status

    def _frame(self, status: int, fields: dict[bytes, bytes]) -> None:
        """Find out where the body ends (RFC 9112, 6.3)."""
        coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
        if length is not None:
            if coding is not None or not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
                raise Malformed("the answer is not HTTP")
            self._left = int(length)
        elif coding is not None:
            self._chunked = coding.lower().rpartition(b",")[2].strip() == b"chunked"
            self._left = 0 if self._chunked else _UNTIL_CLOSE
        else:
            self._left = _UNTIL_CLOSE
        if status in {101, 204, 304}:
            self._left, self._chunked = 0, False

    def _keep(self, data: bytes) -> bool:
        """Note a piece of the body; False once there was more of it than we want."""
        if len(self._snippet) < SNIPPET_BYTES:
            self._snippet += data[: SNIPPET_BYTES - len(self._snippet)]
        self._seen_bytes += len(data)
        self.done = self.done or self._seen_bytes > self._max_body_bytes
        return not self.done

    def _read_body(self, data: bytes) -> None:
        if self._left == _UNTIL_CLOSE:
            self._keep(data)
            return
        piece = data[: self._left]
        self._left -= len(piece)
        if self._keep(piece) and not self._left:
            self._finish(data[len(piece) :])

    def _finish(self, surplus: bytes) -> None:
        """Note that the body has ended; what comes behind it unasked answers nothing."""
        self.done, self.reusable = True, self._stays and not surplus

    def _read_chunks(self, data: bytes) -> None:
        while data and not self.done:
            if self._left:
                data = self._read_chunk(data)
                continue
            line, end, rest = data.partition(b"\r\n")
            if not end:
                self._buffer = data
                self.done = len(data) > _MAX_LINE_BYTES
                return
            self._read_line(line, rest)
            data = rest

    def _read_chunk(self, data: bytes) -> bytes:
        """Take what `data` has of the chunk and its line end; return the rest."""
        left = self._left
        payload = data[: max(0, left - 2)]
        line_end = data[len(payload) : left]
        self._left -= len(payload) + len(line_end)
        self._keep(payload)
        if line_end != b"\r\n"[max(0, 2 - left) :][: len(line_end)]:
            self.done = True
        return data[len(payload) + len(line_end) :]

    def _read_line(self, line: bytes, rest: bytes) -> None:
        """Take a chunk's size, or a line of the trailer."""
        if self._in_trailer:
            self._seen_bytes += len(line)
            self.done = self._seen_bytes > self._max_body_bytes
            if not line:
                self._finish(rest)
            return
        size = _SIZE.fullmatch(line)
        if size is None:
            self.done = True  # broken: the status stands, the connection does not
            return
        length = int(size[1], 16)
        if length:
            self._left = length + 2
        else:
            self._in_trailer = True
