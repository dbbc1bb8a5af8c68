"""The opening handshake of a WebSocket, the server's side (RFC 6455, section 4.2). Pure."""

from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Mapping
from hashlib import sha1

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_NONCE_BYTES = 16


class NoUpgrade(Exception):
    """The request opens no WebSocket; the text says why."""


def is_upgrade(headers: Mapping[str, str]) -> bool:
    """Tell whether a request wants a WebSocket, well or badly."""
    return "websocket" in headers.get("Upgrade", "").lower()


def accept(method: str, headers: Mapping[str, str], protocol: str | None = None) -> bytes:
    """Return the answer that opens the WebSocket. Raises `NoUpgrade`."""
    tokens = {token.strip() for token in headers.get("Connection", "").lower().split(",")}
    if method != "GET" or not is_upgrade(headers) or "upgrade" not in tokens:
        raise NoUpgrade("this address is for WebSockets")
    if headers.get("Sec-WebSocket-Version", "") != "13":
        raise NoUpgrade("version 13 of the WebSocket protocol is spoken here")
    key = headers.get("Sec-WebSocket-Key", "").strip()
    if not _is_nonce(key):
        raise NoUpgrade("Sec-WebSocket-Key is no nonce")
    digest = b64encode(sha1(key.encode() + _MAGIC).digest())  # noqa: S324  # as the RFC says
    chosen = f"Sec-WebSocket-Protocol: {protocol}\r\n" if protocol else ""
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n%b\r\n" % (digest, chosen.encode())
    )


def _is_nonce(key: str) -> bool:
    try:
        return len(b64decode(key.encode(), validate=True)) == _NONCE_BYTES
    except (Error, UnicodeEncodeError):
        return False
