"""What a connection holds of requests that are not whole, or must wait.

Their end is in `_buffer`, and what came before it, if it is much, in pieces: one buffer that grows
is moved all the time, and a crowd of them leaves holes as large as they are. Whatever there is has
its end in the buffer, so that an empty one means that nothing is held.
"""

import asyncio

from gateway.ingest.listener_state import ListenerState

_PIECE_BYTES = 64 << 10


class HoldingConnection(asyncio.Protocol):
    """Counts what it holds where that has a bound for all."""

    __slots__ = ("_buffer", "_pieces", "_shared")

    def __init__(self, shared: ListenerState) -> None:
        self._shared = shared
        self._buffer = bytearray()
        self._pieces: list[bytes] | None = None

    def _keep(self, data: bytes) -> None:
        """Hold `data` behind what is held; in pieces, for one that grows is moved all the time."""
        if len(self._buffer) >= _PIECE_BYTES:
            self._pieces = self._pieces or []
            self._pieces.append(bytes(self._buffer))
            self._buffer.clear()
        self._buffer += data
        self._shared.grew(len(data))

    def _let_go(self) -> bytes:
        """Return what is held, and hold nothing."""
        pieces, self._pieces = self._pieces, None
        held = b"".join((*pieces, self._buffer)) if pieces else bytes(self._buffer)
        self._buffer.clear()
        return held

    @property
    def unfinished_bytes(self) -> int:
        before = sum(map(len, self._pieces)) if self._pieces else 0
        return before + len(self._buffer)

    def _drop(self) -> None:
        self._pieces = None
        self._buffer.clear()
