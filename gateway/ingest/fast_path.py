"""The fast path: webhooks taken straight from the socket, everything else handed to aiohttp.

At each boundary between requests the next bytes decide: exactly `POST <path> HTTP/1.1` with a
plain head and a Content-Length stays here; any other request goes, with the connection, to
aiohttp, which keeps it.
"""

import logging
from time import perf_counter

from gateway import native
from gateway.clock import now_ms
from gateway.event import Event
from gateway.ingest.answering import AnsweringConnection, State
from gateway.ingest.answers import HEADERS_TOO_LARGE, INTERNAL, TOO_LARGE, UNAUTHORIZED, Answer
from gateway.ingest.listener_state import MAX_HEAD_BYTES, TakePlain
from gateway.ingest.request_head import RequestHead, parse_head

logger = logging.getLogger(__name__)

MAX_DUE = 64  # pipelined requests without an answer; beyond it nothing more is read
_MAX_REFUSED = 32  # of one read: whoever sends more than that without a pause is not served on


class WebhookConnection(AnsweringConnection):
    """One connection, as long as it brings nothing but plain webhooks."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        self._receive(data)

    def _failed(self, error: Exception) -> None:
        """Answer for an error of ours in the C piece: in taking a request, or in answering it."""
        logger.error("the fast path failed", exc_info=error)
        if self._due:
            self.abort()
        else:
            self._refuse(INTERNAL, last=True)

    def _receive(self, data: bytes) -> None:
        if self._state is not State.OPEN:
            if self._state is State.LEAVING:
                self._keep(data)
            return
        self.read_at = perf_counter()
        if self._buffer:
            self._keep(data)
            if self.unfinished_bytes < self._need or self._paused:
                return
            data = self._let_go()
        elif self._paused:
            self._keep(data)
            return
        else:
            self._since = self.read_at
        self._fresh = False
        self._take_guarded(data)

    def _take_guarded(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception:
            logger.exception("the fast path failed")
            self._refuse(INTERNAL, last=True, unread=True)
        self._regulate()

    def _take(self, data: bytes) -> None:
        """Take every whole request in `data`, and keep the rest."""
        start, size, take = 0, len(data), self._shared.take
        self._refused = 0
        while start < size and self._state is State.OPEN and len(self._due) < MAX_DUE:
            taken = (take and self._take_plain(take, data, start)) or self._take_one(data, start)
            if not taken:
                break
            start += taken
        if self._state is State.OPEN and start < size:
            self._keep(data[start:] if start else data)
        self._held = len(self._due) >= MAX_DUE

    def _take_plain(self, take: TakePlain, data: bytes, start: int) -> int:
        """Take the request at `start` if it is the plain case; return its length, or 0."""
        shared = self._shared
        line, max_body_bytes = shared.request_line, shared.max_body_bytes
        found = take(data, start, line, MAX_HEAD_BYTES, max_body_bytes, now_ms())
        if found is None:
            return 0
        self._need = 0
        self._since = self.read_at
        length, event = found
        if event is None:
            self._refuse_forged(data[start : start + length])
        else:
            self._signed_at = self.read_at
            self._submit(event)
        return length

    def _receive_forged(self, data: bytes) -> None:
        """Take what the C piece has found to be one whole request with nobody's signature.

        Called in place of `_receive` on a connection that has nothing else under way.
        """
        self.read_at = self._since = perf_counter()
        self._fresh = False
        try:
            self._refuse_forged(data)
        except Exception:
            logger.exception("the fast path failed")
            self._refuse(INTERNAL, last=True)
        self._regulate()

    def _refuse_forged(self, request: bytes) -> None:
        """Refuse as `_accept` would, without hashing the body a second time."""
        line = self._shared.request_line
        head = parse_head(request[len(line) : request.find(b"\r\n\r\n")])
        if head is None:  # the C piece takes no head that this does not
            self._refuse(UNAUTHORIZED, last=True)
            return
        refusal = self._shared.reception.refuse_forged(head.api_key, head.content_encoding)
        self._refuse_unsigned(refusal, last=head.close)

    def _refuse_unsigned(self, answer: Answer, *, last: bool) -> None:
        """Refuse; the last where a stranger brings so many that nobody else has a turn."""
        self._refused += 1
        is_flood = self._refused >= _MAX_REFUSED and not self._signed_at
        self._refuse(answer, last=last or is_flood, unread=is_flood)

    def _take_one(self, data: bytes, start: int) -> int:
        """Take the request at `start`; return its length, or 0 if it is not whole or not ours."""
        line = self._shared.request_line
        if not data.startswith(line, start):
            rest = data[start:]
            if not line.startswith(rest):
                self._leave(rest)
            return 0
        head_end = data.find(b"\r\n\r\n", start, start + MAX_HEAD_BYTES)
        if head_end < 0:
            if len(data) - start >= MAX_HEAD_BYTES:
                self._refuse(HEADERS_TOO_LARGE, unread=True)
            return 0
        head = parse_head(data[start + len(line) : head_end])
        if head is None:
            self._leave(data[start:])
            return 0
        if head.content_length > self._shared.max_body_bytes:
            self._refuse(TOO_LARGE, unread=True)
            return 0
        body_start = head_end + 4
        body_end = body_start + head.content_length
        if body_end > len(data):
            if not self._need:
                self._since = self.read_at  # from here on it is the body's time
            self._need = body_end - start
            return 0
        self._need = 0
        self._since = self.read_at
        self._accept(head, data[body_start:body_end])
        return body_end - start

    def _accept(self, head: RequestHead, body: bytes) -> None:
        shared = self._shared
        verdict = shared.reception.judge(
            body=body,
            api_key=head.api_key,
            signature=head.signature,
            webhook_id=head.webhook_id,
            content_encoding=head.content_encoding,
        )
        if isinstance(verdict, Answer):
            self._refuse_unsigned(verdict, last=head.close)
            return
        self._signed_at = self.read_at
        if head.close:
            self._state = State.LAST
        self._submit(verdict)

    def _submit(self, event: Event) -> None:
        self._due.append(None)
        try:
            self._shared.submit(event, self)
        except Exception:
            self._due.pop()
            self._state = State.OPEN
            raise

    def _take_more(self) -> None:
        if self._writing_paused or (self._held and len(self._due) > MAX_DUE // 2):
            return
        self._held = False
        self._take_guarded(self._let_go())

    def _leave(self, rest: bytes) -> None:
        self._state = State.LEAVING
        self._keep(rest)
        self._go_on()


if native.receive_by is not None:
    native.receive_by(WebhookConnection, State.OPEN)
