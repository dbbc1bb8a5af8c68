"""A worker: one of several processes that share the port and the work, run by the supervisor.

Started as `python -m gateway.app.worker NUMBER FD`; all else comes over the line at FD. It ends
by SIGTERM, drained, and when the supervisor is gone: then quickly, for somebody else will come
for the port and the data directory. Ctrl-C and a closing terminal are the supervisor's business.
"""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from typing import Any

import uvloop

from gateway import logs
from gateway.app.channel import Brief, Channel, WorkerAnswer
from gateway.app.memory import collect_seldom
from gateway.app.process import Process
from gateway.errors import GatewayError
from gateway.ingest.load_sharing import Loads
from gateway.logs import log
from gateway.tasks import end

_log = logging.getLogger("gateway")
_ORPHAN_DRAIN_S = 2.0


def main() -> None:
    for signal_of_terminal in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signal_of_terminal, signal.SIG_IGN)
    logs.never_fail_for_them()
    number, fd = map(int, sys.argv[1:])
    try:
        collect_seldom()
        uvloop.run(_serve(socket.socket(fileno=fd)))
    except GatewayError as error:
        log(_log, logging.ERROR, "the worker cannot go on", worker=number, reason=str(error))
        sys.exit(1)
    except EOFError:  # the supervisor ended before it had told us what to do
        sys.exit(1)


async def _serve(line: socket.socket) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    channel = await Channel.over(line)
    brief = await channel.brief()
    log_options = brief.config.log
    logs.set_up(level=log_options.level, style=log_options.format, worker=brief.role.number)
    try:
        await _work(channel, brief, stop)
    except GatewayError as error:
        await _say(channel, "cannot", str(error))
        raise


async def _work(channel: Channel, brief: Brief, stop: asyncio.Event) -> None:
    """Serve until `stop`. Raises `GatewayError` when this worker cannot start or go on."""
    listening, loads = None, None
    if brief.listening_fd is not None and brief.loads_fd is not None:
        listening = socket.socket(fileno=brief.listening_fd)
        loads = Loads(brief.loads_fd, brief.role.workers)
    async with AsyncExitStack() as stack:
        process = await Process.open(
            brief.config, brief.role, brief.redis_url, stack, listening=listening, loads=loads
        )
        channel.send(WorkerAnswer(0, "ready", None))
        answering = asyncio.create_task(_answer(channel, process, stop))
        stack.push_async_callback(end, [answering])
        await process.run(stop)
        await _say(channel, "last", process.metrics.snapshot())


async def _say(channel: Channel, what: str, value: Any) -> None:
    """Say something unasked, if anybody hears it still."""
    with suppress(OSError):
        channel.send(WorkerAnswer(0, what, value))
        await channel.flush()


async def _answer(channel: Channel, process: Process, stop: asyncio.Event) -> None:
    """Answer until the supervisor is gone; then end too."""
    answers: dict[str, Callable[[], Any]] = {
        "metrics": process.metrics.snapshot,
        "reasons": process.reasons,
        "warnings": process.warnings,
        "journals": lambda: [asdict(one) for one in process.sides()],
    }
    with suppress(EOFError):
        while True:
            asked = await channel.question()
            channel.send(WorkerAnswer(asked.number, asked.what, answers[asked.what]()))
    if not stop.is_set():
        log(_log, logging.ERROR, "the supervisor is gone: ending too")
        process.drain_s = min(process.drain_s, _ORPHAN_DRAIN_S)
        stop.set()


if __name__ == "__main__":
    main()
