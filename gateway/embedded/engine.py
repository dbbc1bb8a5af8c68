"""The owner of an embedded server: it takes the directory, and keeps a server running in it.

A server that dies is started again, for as long as we run, after a pause that doubles while the
lives stay short. Nobody is told but the log: clients find out on their connections, as they
would with any server, and everything else goes on. Before each life its files are looked at, and
after one that ended while it loaded they are mended if they can be: on a thread, for that may
take as long as loading does.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic
from urllib.parse import quote

from gateway.embedded.discovery import find_server
from gateway.embedded.folder import Folder
from gateway.embedded.locks import Lock
from gateway.embedded.probe import answers, answers_within
from gateway.embedded.repair import Halted, Repairer
from gateway.embedded.server import Server, last_words, launch, settings, words_since
from gateway.embedded.socket_path import place_socket
from gateway.errors import EmbeddedEngineError, GatewayError
from gateway.logs import Seldom, log
from gateway.open_files import kept
from gateway.tasks import end

_log = logging.getLogger(__name__)

FIRST_PAUSE_S, MAX_PAUSE_S = 0.05, 2.0
_STEADY_S = 5.0  # a life as long as this makes the next pause short again
_OWNER_PATIENCE_S = 2.0  # a command that borrows the directory is done by then
_LEFT_OVER_PATIENCE_S = 5.0
_STOP_PATIENCE_S = 10.0
_HEAR_S = 0.1
# Those by which a server ends that stumbles over its own files; others end it from outside.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}


class FolderOwned(EmbeddedEngineError):
    """Another process owns the data directory."""


class EmbeddedEngine:
    """A Valkey server in `data_dir`. Use it from one event loop, on the main thread."""

    def __init__(
        self, data_dir: Path, *, max_memory_bytes: int, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._folder = Folder.of(data_dir)
        self._max_memory_bytes = max_memory_bytes
        self._environ = environ
        self._socket: Path | None = None
        self._locks: list[Lock] = []
        self._server: Server | None = None
        self._supervision: asyncio.Task[None] | None = None
        self._stopping = False
        self._mender: Repairer | None = None
        self._mending: asyncio.Future[bool | None] | None = None
        self._seldom = Seldom()
        self._has_answered = False  # in this life
        self.trouble: str | None = None  # why no server answers, once that is more than a moment

    @property
    def url(self) -> str:
        """Where clients connect: `unix://...`, the same for as long as we run."""
        assert self._socket is not None, "start() first"
        return url_of(self._socket)

    @property
    def pid(self) -> int | None:
        """The server's process id, None while none runs."""
        return self._server.pid if self._server else None

    async def start(self, *, patience_s: float = _OWNER_PATIENCE_S) -> None:
        """Take the directory and set a server going; never waits for it to be ready.

        Raises `EmbeddedEngineError` when there is no binary, when the directory cannot be used,
        or when it is another process's and still so after `patience_s` seconds.
        """
        binary = find_server(self._environ)
        self._folder.make()
        try:
            await self._take_folder(patience_s)
        except OSError as error:
            self._release()
            raise EmbeddedEngineError(f"cannot use {self._folder.path}: {error}") from error
        except GatewayError:
            self._release()
            raise
        self._mender = Repairer(self._folder, binary)
        self._supervision = asyncio.create_task(self._supervise(binary, self._mender))

    async def _take_folder(self, patience_s: float) -> None:
        self._locks = [owner := Lock(self._folder.owner_lock)]
        if not await owner.take_within(patience_s):
            holder = owner.holder()
            self._release()
            raise FolderOwned(_owned_by(holder, self._folder.path))
        owner.name_holder(os.getpid())
        self._socket = place_socket(self._folder, self._environ)
        self._folder.note_socket(self._socket)

    def _release(self) -> None:
        while self._locks:
            self._locks.pop().close()

    async def run(self) -> None:
        """Return after `stop()`; raise what broke the supervision, if ever anything does."""
        assert self._supervision is not None, "start() first"
        await asyncio.wait({self._supervision})
        if not self._supervision.cancelled():
            self._supervision.result()

    async def wait_ready(self, timeout_s: float) -> bool:
        """Wait up to `timeout_s` seconds until the server answers; tell whether it does."""
        assert self._socket is not None, "start() first"
        return await answers_within(self._socket, timeout_s)

    def last_words(self) -> str:
        """Return the end of the server's log, to tell why it does not answer."""
        return last_words(self._folder.log)

    async def stop(self) -> None:
        """End the server, its data written down, and let go of the directory."""
        if self._supervision is None:
            return
        self._stopping = True
        if self._server is not None:
            await self._server.end(_STOP_PATIENCE_S)
        self._supervision.cancel()
        await self.run()
        if self._mender is not None and self._mending is not None:
            self._mender.halt()  # and the directory stays ours until it has
            await asyncio.wait({self._mending})
            self._mending.exception()  # read: whoever waited for it is gone
        self._folder.forget_socket()
        self._release()
        self._supervision = None

    async def _supervise(self, binary: Path, mender: Repairer) -> None:
        assert self._socket is not None
        config = settings(
            folder=self._folder.path,
            socket=self._socket,
            max_memory_bytes=self._max_memory_bytes,
        )
        lock = Lock(self._folder.server_lock)
        self._locks.append(lock)
        pause_s = FIRST_PAUSE_S
        while not self._stopping:
            began = monotonic()
            why = await self._one_life(binary, config, lock, mender)
            if self._stopping:
                return
            if why is None:  # its files are mended
                continue
            pause_s = FIRST_PAUSE_S if monotonic() - began > _STEADY_S else pause_s
            if not self._has_answered:
                self.trouble = f"{why} ({words})" if (words := self.last_words()) else why
            self._tell_end(why, pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_PAUSE_S)

    def _tell_end(self, why: str, pause_s: float) -> None:
        what = "the embedded server ended, starting it again"
        words = self.last_words()
        if pause_s < MAX_PAUSE_S:
            log(_log, logging.WARNING, what, why=why, pause_s=pause_s, last_words=words)
        else:  # the same again and again
            self._seldom.log("ended", _log, what, why=why, pause_s=pause_s, last_words=words)

    async def _one_life(
        self, binary: Path, config: bytes, lock: Lock, mender: Repairer
    ) -> str | None:
        """Run a server until it ends; return how that came, None if what ended it is mended."""
        self._has_answered = False
        try:
            await _outlast_left_over(lock)
            lock.name_holder(None)  # a process id from before may be anybody's by now
            await self._on_a_thread(mender.before_launch)
            logged_bytes = _size(self._folder.log)
            process = kept.opened(
                lambda: launch(binary, config, log=self._folder.log, lock_fd=lock.fd)
            )
        except (OSError, EmbeddedEngineError) as error:
            return str(error)
        self._server = Server(process)
        try:
            lock.name_holder(process.pid)
        except OSError as error:  # a full disk: it is supervised nevertheless
            log(
                _log,
                logging.WARNING,
                "the server's process id is not written down",
                pid=process.pid,
                reason=error.strerror,
            )
        log(_log, logging.DEBUG, "the embedded server is launched", pid=process.pid)
        hearing = asyncio.create_task(self._hear())
        try:
            code = await self._server.ended()
        finally:
            await end([hearing])
        self._server = None
        if not self._stopping and not self._has_answered and _fell_over(code):
            words = words_since(self._folder.log, logged_bytes)
            self.trouble = "its files are looked at: it ended while it loaded them"
            try:
                if await self._on_a_thread(lambda: mender.after_refusal(words)):
                    return None
            except (OSError, EmbeddedEngineError) as error:
                return str(error)
        return f"exit code {code}"

    async def _hear(self) -> None:
        """Wait for the server's first answer in this life."""
        assert self._socket is not None
        while not await answers(self._socket):  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(_HEAR_S)
        if self.trouble is not None:
            log(_log, logging.INFO, "the embedded server answers again")
        self._has_answered, self.trouble = True, None

    async def _on_a_thread(self, work: Callable[[], bool | None]) -> bool | None:
        """Run what may wait for the disk; what is cancelled is waited for by `stop`."""
        self._mending = asyncio.get_running_loop().run_in_executor(None, work)
        try:
            return await asyncio.shield(self._mending)
        except Halted:
            return None


def _fell_over(code: int | None) -> bool:
    return code is not None and (code > 0 or -code in _CRASHES)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


async def _outlast_left_over(lock: Lock) -> None:
    """Wait for the server of an owner that was killed; end it when it stays.

    Raises `EmbeddedEngineError` when even that does not help. Once taken, the lock stays ours.
    """
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        pid = lock.holder()
        if number is not None and pid is not None:
            log(_log, logging.WARNING, "ending a server left behind", pid=pid, signal=number.name)
            with suppress(ProcessLookupError):
                # With a rewrite that it forked: that one outlives it, and holds the lock too.
                os.killpg(pid, number)
        if await lock.take_within(_LEFT_OVER_PATIENCE_S):
            return
    raise EmbeddedEngineError(f"a server left behind does not end: process {lock.holder()}")


def _owned_by(pid: int | None, folder: Path) -> str:
    return (
        f"{folder} is in use by another gateway or command (process {pid or 'unknown'}): "
        "stop that one, or give this one its own `data_dir`"
    )


def url_of(socket: Path) -> str:
    """Return the URL that clients take for a unix socket."""
    return f"unix://{quote(str(socket))}"
