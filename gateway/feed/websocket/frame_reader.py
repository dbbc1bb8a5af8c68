"""Frames that a client sends, read as they come, each bounded before it is kept (RFC 6455). Pure.

What breaks the protocol, or a bound, ends the connection with the code that says why: unmasked
frames, reserved bits, unknown opcodes, long or split control frames, messages of too many bytes
or pieces, text that is none.
"""

from collections.abc import Iterator
from typing import NamedTuple

from gateway.feed.websocket.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    INVALID_TEXT,
    MAX_CONTROL_BYTES,
    PING,
    POLICY,
    PONG,
    PROTOCOL_ERROR,
    TEXT,
    TOO_BIG,
    UNSUPPORTED,
)

_MAX_PIECES = 64  # of one message
_FIN, _RESERVED, _OPCODE, _MASKED, _SIZE = 0x80, 0x70, 0x0F, 0x80, 0x7F
_CONTROL = (CLOSE, PING, PONG)


class BadFrame(Exception):  # named for what happened
    """The connection must close with `code`."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class Received(NamedTuple):
    """A whole message: TEXT, put together from its pieces and valid UTF-8, or a control frame."""

    opcode: int
    payload: bytes


class _Head(NamedTuple):
    opcode: int
    is_last: bool
    payload_at: int
    end: int


class FrameReader:
    """Fed with what comes; keeps at most one frame and one message that are not whole."""

    __slots__ = ("_buffer", "_max_bytes", "_pieces", "_size")

    def __init__(self, max_message_bytes: int) -> None:
        self._max_bytes = max_message_bytes
        self._buffer = b""
        self._pieces: list[bytes] | None = None  # of a message that is not whole
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Received]:
        """Yield the messages that `data` completes. Raises `BadFrame`, after those before it.

        Whoever does not take all of them feeds it no more.
        """
        data, self._buffer = self._buffer + data if self._buffer else data, b""
        start = 0
        while (head := self._head(data, start)) is not None and head.end <= len(data):
            start = head.end
            payload = _unmasked(
                data[head.payload_at - 4 : head.payload_at], data[head.payload_at : head.end]
            )
            if (message := self._taken(head, payload)) is not None:
                yield message
        self._buffer = data[start:]

    def _head(self, data: bytes, start: int) -> _Head | None:
        """Return the frame that begins at `start`; None while that cannot be told."""
        if len(data) < start + 2:
            return None
        first, second = data[start], data[start + 1]
        opcode, size = first & _OPCODE, second & _SIZE
        self._check(first, second, opcode, size)
        extra = {126: 2, 127: 8}.get(size, 0)
        at = start + 2 + extra
        if len(data) < at:
            return None
        if extra:
            size = int.from_bytes(data[start + 2 : at], "big")
        if opcode not in _CONTROL and self._size + size > self._max_bytes:
            raise BadFrame(TOO_BIG, f"a message can have {self._max_bytes} bytes")
        return _Head(opcode, bool(first & _FIN), at + 4, at + 4 + size)

    def _check(self, first: int, second: int, opcode: int, size: int) -> None:
        if not second & _MASKED:
            raise BadFrame(PROTOCOL_ERROR, "a client's frames are masked")
        if first & _RESERVED:
            raise BadFrame(PROTOCOL_ERROR, "no extension was agreed on")
        if opcode in _CONTROL:
            if size > MAX_CONTROL_BYTES or not first & _FIN:
                raise BadFrame(PROTOCOL_ERROR, "control frames are short, and in one piece")
        elif opcode == BINARY:
            raise BadFrame(UNSUPPORTED, "text frames only")
        elif opcode not in (TEXT, CONTINUATION):
            raise BadFrame(PROTOCOL_ERROR, "unknown opcode")
        elif (opcode == CONTINUATION) != (self._pieces is not None):
            raise BadFrame(PROTOCOL_ERROR, "a message begins before another has ended, or never")

    def _taken(self, head: _Head, payload: bytes) -> Received | None:
        if head.opcode in _CONTROL:
            return Received(head.opcode, payload)
        if self._pieces is None and head.is_last:
            return Received(TEXT, _text(payload))
        pieces = self._pieces = self._pieces or []
        pieces.append(payload)
        self._size += len(payload)
        if not head.is_last:
            if len(pieces) >= _MAX_PIECES:
                raise BadFrame(POLICY, "too many pieces")
            return None
        self._pieces, self._size = None, 0
        return Received(TEXT, _text(b"".join(pieces)))


def _unmasked(mask: bytes, payload: bytes) -> bytes:
    size = len(payload)
    repeated = mask * (size // 4 + 1)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated[:size], "big")).to_bytes(
        size, "big"
    )


def _text(payload: bytes) -> bytes:
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError:
            raise BadFrame(INVALID_TEXT, "text is UTF-8") from None
    return payload
