"""One worker's slot: a process is kept in it, until the supervisor stops.

A worker that ends is replaced after a pause that doubles while lives stay short, up to a bound;
it is replaced only once it is dead, for the next one opens the same journal. One that hangs is
killed, or what its journal holds would wait for ever.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

from gateway import tally
from gateway.app.channel import Brief, Channel, WorkerAnswer, WorkerQuestion
from gateway.logs import log
from gateway.tally import Snapshot

_log = logging.getLogger("gateway")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
_STEADY_S = 10.0  # a life as long as this makes the next pause short again
_ANSWER_S = 2.0
HANG_S = 15.0  # without a word: longer than anybody waits for an answer of ours


class NoAnswer(Exception):
    """The worker is not there, or does not answer in time."""


class WorkerSlot:
    """`ended`: told of every life that is over, with the last of what it had counted."""

    def __init__(
        self, brief: Brief, pass_fds: tuple[int, ...], ended: Callable[[int, Snapshot], None]
    ) -> None:
        self.role, self.number = brief.role, brief.role.number
        self.is_ready = asyncio.Event()  # a worker serves
        self.deaths = 0  # in a row, each after a short life
        self.why = ""  # the last one ended
        self._reason = ""  # that it gave itself
        self._brief, self._pass_fds, self._ended = brief, pass_fds, ended
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel | None = None
        self._counted = tally.empty()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._questions = 0
        self._next_start = 0.0
        self._heard = 0.0  # monotonic
        self._stopping = False

    # ---- a process in it

    async def run(self) -> None:
        """Keep a worker here until `stop`."""
        pause_s = FIRST_PAUSE_S
        while not self._stopping:
            began = monotonic()
            self.why = await self._one_life()
            if self._stopping:
                return
            if monotonic() - began > _STEADY_S:
                pause_s, self.deaths = FIRST_PAUSE_S, 0
            self.deaths += 1
            self._next_start = monotonic() + pause_s
            log(
                _log,
                logging.WARNING,
                "a worker has ended, starting another",
                worker=self.number,
                why=self.why,
                pause_s=pause_s,
            )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    async def _one_life(self) -> str:
        """Run a worker until it is dead; return how that came."""
        self._reason = ""
        try:
            process, line = await self._begin()
        except OSError as error:
            return f"no process could be started: {error.strerror or error}"
        self._process = process
        if self._stopping:
            process.terminate()
        channel = await Channel.over(line)
        try:
            channel.send_brief(self._brief)
            self._channel = channel
            await self._listen(channel)
            self._channel = None  # nobody is there to be asked
            code = await process.wait()
        finally:
            self._over(channel)
        ended = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return self._reason or ended

    async def _begin(self) -> tuple[asyncio.subprocess.Process, socket.socket]:
        """Start a worker; return it, and our end of the line to it. Raises OSError."""
        ours, theirs = socket.socketpair()
        with contextlib.closing(theirs), contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway.app.worker",
                str(self.number),
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(), *self._pass_fds),
                stdin=asyncio.subprocess.DEVNULL,
            )
            on_failure.pop_all()
        return process, ours

    async def _listen(self, channel: Channel) -> None:
        with contextlib.suppress(EOFError):
            while True:
                self._take(await channel.answer())

    def _take(self, said: WorkerAnswer) -> None:
        self._heard = monotonic()
        if said.what == "ready":
            self.is_ready.set()
        if said.what == "cannot":
            self._reason = said.value
        if said.what in {"metrics", "last"}:
            self._counted = said.value
        waiting = self._asked.pop(said.number, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(said.value)

    def _over(self, channel: Channel) -> None:
        channel.close()
        self._channel = self._process = None
        self.is_ready.clear()
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(NoAnswer())
                waiting.exception()  # read here: whoever asked may have given up
        self._asked.clear()
        self._ended(self.number, self._counted)
        self._counted = tally.empty()

    def end_hanging(self) -> None:
        """Kill the worker if it has been silent for too long, although it is asked."""
        silent_s = monotonic() - self._heard
        if self._process is not None and self.is_ready.is_set() and silent_s > HANG_S:
            log(
                _log,
                logging.ERROR,
                "a worker hangs: killed",
                worker=self.number,
                silent_s=round(silent_s),
            )
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def stop(self, patience_s: float) -> None:
        """Have the worker drain and end; kill it when it takes longer than `patience_s`."""
        self._stopping = True
        process = self._process
        if process is None:
            return
        for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, None)):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await process.wait()
                    return
            log(_log, logging.WARNING, "a worker does not end: killed", worker=self.number)

    # ---- what it says

    async def ask(self, what: str) -> Any:
        """Return what the worker answers. Raises `NoAnswer`."""
        if self._channel is None or not self.is_ready.is_set():
            raise NoAnswer
        self._questions += 1
        number = self._questions
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        self._channel.send(WorkerQuestion(number, what))
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError:
            raise NoAnswer from None
        finally:
            self._asked.pop(number, None)

    async def counted(self) -> Snapshot:
        """Return what the worker has counted, as far as it is known."""
        with contextlib.suppress(NoAnswer):
            await self.ask("metrics")
        return self._counted

    async def reasons(self) -> list[str]:
        """Return what is not well here, in words."""
        if not self.is_ready.is_set():
            return [self._absence()]
        try:
            found: list[str] = await self.ask("reasons")
        except NoAnswer:
            return [self._absence() if not self.is_ready.is_set() else "it does not answer"]
        return found

    async def warnings(self) -> list[str]:
        """Return what an operator has to know all the same; nothing while nobody answers."""
        try:
            found: list[str] = await self.ask("warnings")
        except NoAnswer:
            return []
        return found

    def _absence(self) -> str:
        if not self.deaths:
            return "it is starting"
        wait_s = self._next_start - monotonic()
        then = f"the next start is in {wait_s:.1f} s" if wait_s > 0 else "it is starting"
        return f"it has ended, {self.deaths} times in a row ({self.why}); {then}"
