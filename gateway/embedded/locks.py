"""Locks on files, which end with the processes that hold them and with nothing else.

There are two. The owner's is held by the process that supervises. The server's is opened by the
owner and inherited by the server: a server that outlives its owner still holds it, so the next
owner knows for certain, and knows whom to end, because the holder's process id is in the file.
"""

import asyncio
import fcntl
import os
from pathlib import Path
from time import monotonic

from gateway.errors import EmbeddedEngineError

_POLL_S = 0.02


class Lock:
    """An exclusive lock on `path`, not yet taken. Close it when done."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_take(self) -> bool:
        """Take it if nobody holds it; tell whether it is ours now.

        Raises `EmbeddedEngineError` where the file system has no locks.
        """
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            raise EmbeddedEngineError(
                f"the file system of {self._path} has no locks (flock: {error.strerror}): put"
                " data_dir on a disk of this machine"
            ) from error
        return True

    async def take_within(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` seconds for it; tell whether it is ours now."""
        deadline = monotonic() + timeout_s
        while not self.try_take():
            if monotonic() > deadline:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def name_holder(self, pid: int | None) -> None:
        """Write down which process to ask or end, None for not known yet."""
        os.ftruncate(self.fd, 0)
        if pid is not None:
            os.pwrite(self.fd, b"%d\n" % pid, 0)

    def holder(self) -> int | None:
        """Return the process id that the holder wrote down, None when there is none."""
        text = os.pread(self.fd, 32, 0).strip()
        return int(text) if text.isdigit() else None

    def close(self) -> None:
        """Let go of the lock, unless a process that inherited it lives on."""
        os.close(self.fd)
