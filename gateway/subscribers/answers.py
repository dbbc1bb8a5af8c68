"""The answer of an HTTP receiver, read piece by piece. Pure.

llhttp reads it, strictly. Its status decides: once the status line is whole, whatever breaks in the
head or in the body, ends early or is longer than we want only costs the connection (`reusable`
stays False), and nobody waits for the rest.

https://www.rfc-editor.org/rfc/rfc9112
"""

from typing import NamedTuple

from httptools import HttpParserError, HttpParserInvalidStatusError, HttpResponseParser

MAX_HEAD_BYTES = 32 << 10  # interim answers (1xx) included; a longer one is not waited for
SNIPPET_BYTES = 512


class Malformed(Exception):
    """What came is no answer in HTTP/1; the text quotes nothing of it."""


class HttpAnswer(NamedTuple):
    """`retry_after` as it was sent, empty if it was not; `snippet`: the start of the body."""

    status: int
    retry_after: str
    snippet: bytes


class AnswerParser:
    """Of one answer. Feed it until `done`; `reusable`: the connection may take another request."""

    __slots__ = (
        "_body_bytes",
        "_fed_bytes",
        "_llhttp",
        "_max_body_bytes",
        "_retry_after",
        "_snippet",
        "done",
        "reusable",
        "status",
    )

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._llhttp = HttpResponseParser(self)
        self._fed_bytes = self._body_bytes = 0
        self._snippet = self._retry_after = b""
        self.status = 0  # until it decides
        self.done = self.reusable = False

    @property
    def answer(self) -> HttpAnswer:
        return HttpAnswer(self.status, self._retry_after.decode("latin-1"), self._snippet)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `Malformed` where no status can come any more."""
        llhttp = self._llhttp
        try:
            llhttp.feed_data(data)
        except HttpParserInvalidStatusError:
            self._break_off(0)
        except HttpParserError:
            self._break_off(llhttp.get_status_code())
        else:
            self._fed_bytes += len(data)
            most = MAX_HEAD_BYTES + (self._max_body_bytes if self.status else 0)
            if not self.done and self._fed_bytes > most:
                self._break_off(llhttp.get_status_code())
        if self.done:
            del self._llhttp  # which holds us: without a cycle both are freed at once

    def end(self) -> None:
        """Note that the other side has closed. Raises `Malformed` if there is no status yet."""
        if not self.status:
            raise Malformed("the connection was closed before an answer")
        if not self.done:
            self.done = True
            del self._llhttp

    def _break_off(self, status: int) -> None:
        """Be done with what has come; `status` is of the line read last."""
        self.status = self.status or status
        if self.status < 200 and self.status != 101:
            raise Malformed("the answer is not HTTP")
        self.done, self.reusable = True, False

    # What llhttp says.

    def on_message_begin(self) -> None:
        if self.done:  # what comes behind an answer unasked answers nothing
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.status and name.lower() == b"retry-after":
            self._retry_after = value

    def on_headers_complete(self) -> None:
        status = self._llhttp.get_status_code()
        if not self.status and (status >= 200 or status == 101):
            self.status = status

    def on_body(self, body: bytes) -> None:
        if not self.done:
            self._snippet += body[: SNIPPET_BYTES - len(self._snippet)]
            self._body_bytes += len(body)
            self.done = self._body_bytes > self._max_body_bytes

    def on_message_complete(self) -> None:
        if self.status and not self.done:
            self.done, self.reusable = True, self._llhttp.should_keep_alive()
