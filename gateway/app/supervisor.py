"""Several workers on one port, and what there is once for all of them.

The supervisor holds the data directory, the embedded engine, the listening socket and the admin
listener; it takes no webhook itself. Because it holds the socket, connections queue while a
worker is replaced, and none is refused. Because it holds no event, its own end costs nothing
that was acknowledged: the workers end with it, and the next gateway finds their journals.
"""

import asyncio
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import IO

from gateway.admin.server import AdminServer
from gateway.app import home, sockets
from gateway.app.channel import Brief
from gateway.app.crew import Crew
from gateway.app.duty import Duty
from gateway.app.gate import Gate
from gateway.app.ports import Ports
from gateway.app.seat import Seat
from gateway.errors import GatewayError
from gateway.ingest.accepting import Loads
from gateway.logs import log
from gateway.options import Config
from gateway.stream.access import access_of
from gateway.stream.connection import Engine
from gateway.tasks import end, raise_failure

_log = logging.getLogger("gateway")
_START_S = 60.0
_LAST_ANSWERS_S = 2.0
_LAST_STEPS_S = 10.0  # of a worker, once its drain is over


async def run(
    config: Config,
    duty: Duty,
    stop: asyncio.Event,
    *,
    listening: socket.socket | None,
    on_ready: Callable[[Ports], None],
) -> None:
    """Run `duty.workers` workers until `stop`, then drain them all.

    `listening`: the public port, where somebody else has opened it. Raises `GatewayError` when
    the gateway cannot start; a worker that ends later is replaced.
    """
    async with AsyncExitStack() as stack:
        place = await home.enter(config, stack)
        shared = listening
        if shared is None and duty.takes:
            shared = stack.enter_context(await sockets.listen(config.server))
        access = access_of(config.redis)
        engine = Engine(place.redis_url, timeout_s=config.redis.timeout_s, access=access)
        stack.push_async_callback(engine.close)
        crew = Crew(config, engine)
        crew.files = place.engine_files(crew.counted)
        # With the lock: nobody else takes the directory while a worker still lives.
        fds = [place.lock_fd]
        listening_fd = loads_fd = None
        if shared is not None:
            loads_fd = stack.enter_context(_loads(duty.workers)).fileno()
            listening_fd = shared.fileno()
            fds += [listening_fd, loads_fd]
            crew.loads = Loads(loads_fd, duty.workers)
        for number in range(duty.workers):
            own = replace(duty, number=number)
            brief = Brief(config, own, place.redis_url, listening_fd, loads_fd)
            crew.seats.append(Seat(brief, tuple(fds), crew.ended))
        admin = AdminServer(config.admin, crew)
        await admin.start()
        stack.push_async_callback(admin.stop)
        gate = Gate(engine, allow_volatile=config.redis.allow_volatile)
        supervisor = _Supervisor(crew, gate, config.server.drain_s)
        try:
            await supervisor.start(stop)
            if not stop.is_set():
                port = shared.getsockname()[1] if shared is not None else None
                on_ready(Ports(port, admin.port))
                await supervisor.watch(stop)
        finally:
            if shared is not None and shared is not listening:
                shared.close()  # whoever connects now is better refused than left waiting
            await supervisor.stop()


def _loads(workers: int) -> IO[bytes]:
    """Return a file of nobody else's, for what workers tell each other of their load.

    In memory: a small machine may have no folder for temporary files that can be written to.
    """
    shared: IO[bytes]
    try:
        shared = os.fdopen(os.memfd_create("loads"), "w+b")
    except (AttributeError, OSError):  # not Linux, or forbidden there
        shared = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    shared.truncate(Loads.size(workers))
    return shared


class _Supervisor:
    def __init__(self, crew: Crew, gate: Gate, drain_s: float) -> None:
        """`gate`: workers have their own, but what they find they are only replaced for."""
        self._crew, self._gate, self._drain_s = crew, gate, drain_s
        self._seats: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []

    async def start(self, stop: asyncio.Event) -> None:
        """Return once every worker serves, or `stop` is set. Raises `GatewayError`."""
        seats = self._crew.seats
        self._seats = [asyncio.create_task(one.run(), name=f"seat {one.number}") for one in seats]
        self._others = [
            asyncio.create_task(self._crew.run(), name="crew"),
            asyncio.create_task(self._gate.run(), name="gate"),
        ]
        deadline = asyncio.get_running_loop().time() + _START_S
        while not stop.is_set() and not all(one.is_ready.is_set() for one in seats):
            self._raise_failures()
            failed = next((one for one in seats if one.deaths), None)
            if failed is not None:
                raise GatewayError(f"worker {failed.number} cannot start: {failed.why}")
            if asyncio.get_running_loop().time() > deadline:
                raise GatewayError(f"the workers have not started within {_START_S:.0f} s")
            await asyncio.sleep(0.01)

    async def watch(self, stop: asyncio.Event) -> None:
        """Return at `stop`. Raises `GatewayError` for an engine that is refused, or a defect."""
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait(
                (stopped, *self._seats, *self._others), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await end([stopped])
        self._raise_failures()

    def _raise_failures(self) -> None:
        for task in (*self._seats, *self._others):
            if task.done():
                raise_failure(task)

    async def stop(self) -> None:
        """Drain all workers; kill those that take far too long."""
        log(_log, logging.INFO, "stopping the workers", workers=len(self._crew.seats))
        patience_s = self._drain_s + _LAST_STEPS_S
        await asyncio.gather(*(one.stop(patience_s) for one in self._crew.seats))
        if self._seats:
            await asyncio.wait(self._seats, timeout=_LAST_ANSWERS_S)
        await end((*self._seats, *self._others))
