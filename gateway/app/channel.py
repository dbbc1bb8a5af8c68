"""The line between the supervisor and one worker: an inherited socket pair, private to the two.

Frames of four bytes of length and a payload. The first one, to the worker, is its brief; then
the supervisor asks by name and the worker answers in JSON. Whoever sees the end of it knows that
the other has ended.
"""

import asyncio
import pickle
import socket
import struct
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.app.role import Role
from gateway.options import Config

_LENGTH = struct.Struct("!I")
_MAX_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Brief:
    """All that a worker starts with; the configuration as the supervisor has read it."""

    config: Config
    role: Role
    redis_url: str
    listening_fd: int | None
    loads_fd: int | None  # see `ingest.load_sharing`; together with the one above


class WorkerQuestion(msgspec.Struct, array_like=True):
    number: int
    what: str


class WorkerAnswer(msgspec.Struct, array_like=True):
    """`number` 0: said unasked, `what` tells why."""

    number: int
    what: str
    value: Any


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, end: socket.socket) -> "Channel":
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: WorkerQuestion | WorkerAnswer) -> None:
        self._send(msgspec.json.encode(message))

    def send_brief(self, brief: Brief) -> None:
        self._send(pickle.dumps(brief))

    def _send(self, payload: bytes) -> None:
        if not self._writer.is_closing():  # else nobody hears it: the reader finds out
            self._writer.write(_LENGTH.pack(len(payload)) + payload)

    async def brief(self) -> Brief:
        """Return the first frame. Raises EOFError."""
        # From the process that started us, which alone has the other end.
        brief: Brief = pickle.loads(await self._receive())  # noqa: S301
        return brief

    async def question(self) -> WorkerQuestion:
        """Return the next question. Raises EOFError when the supervisor is gone."""
        return msgspec.json.decode(await self._receive(), type=WorkerQuestion)

    async def answer(self) -> WorkerAnswer:
        """Return the next answer. Raises EOFError when the worker is gone."""
        return msgspec.json.decode(await self._receive(), type=WorkerAnswer)

    async def _receive(self) -> bytes:
        try:
            (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
            if length > _MAX_BYTES:
                raise EOFError("a frame is too long")
            return await self._reader.readexactly(length)
        except OSError as error:
            raise EOFError(str(error)) from error

    async def flush(self) -> None:
        """Wait until what was sent has left. Raises OSError."""
        await self._writer.drain()

    def close(self) -> None:
        self._writer.close()
