"""One life of the server process: its settings, its launch, its end.

The settings go through standard input, so there is no file to go stale and nothing in `ps`. The
process leads a session of its own: Ctrl-C reaches the gateway only, which still needs the server
while it drains. On Linux the kernel ends it when the gateway is killed.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from threading import Thread

from gateway.sizing import data_bytes

_PR_SET_PDEATHSIG = 1
_LOG_MAX_BYTES = 1 << 20
_LAST_WORDS_BYTES = 400
_LIFE_WORDS_BYTES = 64 << 10


def settings(*, folder: Path, socket: Path, max_memory_bytes: int) -> bytes:
    """Return the server's configuration: an append-only file, one unix socket, no eviction.

    `max_memory_bytes`: of the machine, with all that a server needs beside its data.
    """
    lines = (
        b"port 0",
        b"unixsocket " + _quoted(socket),
        b"unixsocketperm 700",
        b"dir " + _quoted(folder),
        b"appendonly yes",
        b"appendfsync everysec",
        # Times in the file tell since when something is lost; and an end that is cut off is ours
        # to put aside and to count (`mending`), not the server's to drop in silence.
        b"aof-timestamp-enabled yes",
        b"aof-load-truncated no",
        b'save ""',
        b"maxmemory %d" % data_bytes(max_memory_bytes),
        b"maxmemory-policy noeviction",
        b"",
    )
    return b"\n".join(lines)


def _quoted(path: Path) -> bytes:
    plain = b"".join(
        bytes((byte,)) if 0x20 <= byte < 0x7F and byte not in b'"\\' else b"\\x%02x" % byte
        for byte in os.fsencode(path)
    )
    return b'"%s"' % plain


def launch(binary: Path, config: bytes, *, log: Path, lock_fd: int) -> Popen[bytes]:
    """Start the server and return at once. It inherits `lock_fd`. Raises OSError.

    Call it on the main thread: the kernel's signal at our death fires when the launching
    thread ends.
    """
    reading, writing = os.pipe()
    try:
        os.write(writing, config)  # far below what a pipe holds
        os.close(writing)
        return _popen(binary, reading, log, lock_fd)
    finally:
        os.close(reading)


def _popen(binary: Path, stdin: int, log: Path, lock_fd: int) -> Popen[bytes]:
    if log.exists() and log.stat().st_size > _LOG_MAX_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as output, warnings.catch_warnings():
        # Python 3.12 warns of any fork beside threads; `_die_with_us` only makes system calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        return Popen(  # noqa: S603 - the binary is the operator's choice
            [binary, "-"],
            stdin=stdin,
            stdout=output,
            stderr=output,
            pass_fds=(lock_fd,),
            start_new_session=True,
            preexec_fn=_die_with_us(),  # noqa: PLW1509
        )


def _die_with_us() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return arrange


def last_words(log: Path) -> str:
    """Return the end of the server's log on one line, for a line of ours."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LAST_WORDS_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return " / ".join(line.strip() for line in lines[-3:] if line.strip())


def words_since(log: Path, offset: int) -> bytes:
    """Return what the log has had since it was `offset` bytes long, the end of it if that is much.

    A log that is shorter by now was begun anew (`launch`).
    """
    try:
        with log.open("rb") as file:
            size = log.stat().st_size
            file.seek(max(offset if offset <= size else 0, size - _LIFE_WORDS_BYTES))
            return file.read(_LIFE_WORDS_BYTES)
    except OSError:
        return b""


class Server:
    """A launched server, watched from the running event loop."""

    def __init__(self, process: Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        Thread(target=self._watch, name="valkey-watch", daemon=True).start()

    def _watch(self) -> None:
        code = self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, code)

    def _settle(self, code: int) -> None:
        # A process that it forked to rewrite the append-only file may outlive it, and would go
        # on writing beside the next server.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if not self._ended.done():
            self._ended.set_result(code)

    async def ended(self, timeout_s: float | None = None) -> int | None:
        """Return the exit code (negative: the signal), None when it still runs after that."""
        await asyncio.wait({self._ended}, timeout=timeout_s)
        return self._ended.result() if self._ended.done() else None

    async def end(self, patience_s: float) -> None:
        """Ask it to stop, which writes everything down; after `patience_s` seconds, kill it."""
        self._process.terminate()
        if await self.ended(patience_s) is None:
            self._process.kill()
            await self.ended()
