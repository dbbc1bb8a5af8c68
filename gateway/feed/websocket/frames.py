"""Frames that a server sends on a WebSocket (RFC 6455, section 5). Pure.

A server's frames are not masked, so a frame built once has the same bytes for every watcher.
Nothing is compressed: a context per watcher would cost many times what it saves.
"""

import struct

# Close codes of RFC 6455 and its registry. Never 1000 of our own accord: Stream's SDK takes it
# as the last word, and stays away for ever.
GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, INVALID_TEXT = 1001, 1002, 1003, 1007
POLICY, TOO_BIG, INTERNAL, RESTART, TRY_LATER = 1008, 1009, 1011, 1012, 1013

_FIN = 0x80
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
CONTINUATION, BINARY = 0x0, 0x2
MAX_CONTROL_BYTES = 125


def text_frame(payload: bytes) -> bytes:
    """Return one text message; `payload` is UTF-8."""
    return _frame(TEXT, payload)


def ping_frame(payload: bytes = b"") -> bytes:
    return _frame(PING, payload)


def pong_frame(payload: bytes) -> bytes:
    return _frame(PONG, payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """Return a close; `code` None: without one, and so without a reason."""
    if code is None:
        return _frame(CLOSE, b"")
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return _frame(CLOSE, struct.pack(">H", code) + text)


def answer_to(close: bytes) -> int | None:
    """Return the code that answers the payload of a close: its own, if that may be sent, and its
    reason is text.
    """
    if not close:
        return None
    try:
        close[2:].decode()
    except UnicodeDecodeError:
        return INVALID_TEXT
    code = int.from_bytes(close[:2], "big")
    is_known = 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
    return code if len(close) > 1 and (is_known or 3000 <= code <= 4999) else PROTOCOL_ERROR


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= MAX_CONTROL_BYTES:
        return bytes((_FIN | opcode, size)) + payload
    if size < 1 << 16:
        return struct.pack(">BBH", _FIN | opcode, 126, size) + payload
    return struct.pack(">BBQ", _FIN | opcode, 127, size) + payload
