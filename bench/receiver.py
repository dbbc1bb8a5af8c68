"""A cheap receiver in C, and what it noted, read from memory that both share."""

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from bench import provision
from bench.processes import free_port, running, wait_until

_HEADER, _NOTE = struct.Struct("<QQ"), struct.Struct("<dI")


class Receiver:
    """`count` costs the receiver nothing, so it may be asked as often as one likes."""

    def __init__(self, pid: int, port: int, notes: mmap.mmap) -> None:
        self.pid, self.port, self._notes = pid, port, notes

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/events"

    @property
    def count(self) -> int:
        return int(_HEADER.unpack_from(self._notes)[0])

    def arrivals(self) -> Iterator[tuple[float, bytes]]:
        """Yield when each body came (monotonic seconds), and the body."""
        at = _HEADER.size
        for _ in range(self.count):
            moment, length = _NOTE.unpack_from(self._notes, at)
            at += _NOTE.size + length
            yield moment, self._notes[at - length : at]

    def freeze(self) -> None:
        os.kill(self.pid, SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, SIGCONT)


@contextmanager
def receiver(folder: Path, *, core: int, room_bytes: int) -> Iterator[Receiver]:
    """Run one. Raises `provision.Missing` where there is no compiler."""
    program, port = provision.compiled("load/receiver.c"), free_port()
    memory = os.memfd_create("notes")
    try:
        os.ftruncate(memory, room_bytes)
        command = [str(program), str(port), f"/proc/{os.getpid()}/fd/{memory}"]
        with (
            mmap.mmap(memory, room_bytes) as notes,
            running(command, core=core, log=folder / "receiver.log") as process,
        ):
            wait_until(lambda: _HEADER.unpack_from(notes)[1] > 0, "the receiver is ready")
            try:
                yield Receiver(process.pid, port, notes)
            finally:
                os.kill(process.pid, SIGCONT)  # frozen, it would not end
    finally:
        os.close(memory)
