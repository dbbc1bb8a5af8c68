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
from gateway.app import data_dir, sockets
from gateway.app.all_workers import AllWorkers
from gateway.app.channel import Brief
from gateway.app.engine_gate import EngineGate, gate_to
from gateway.app.part import Ports
from gateway.app.role import Role
from gateway.app.worker_slot import WorkerSlot
from gateway.engine.access import access_of
from gateway.engine.engine import Engine
from gateway.errors import GatewayError
from gateway.ingest.load_sharing import Loads
from gateway.logs import log
from gateway.options import Config
from gateway.tasks import end, raise_failure

_log = logging.getLogger("gateway")
_START_S = 60.0
_LAST_ANSWERS_S = 2.0
_LAST_STEPS_S = 10.0  # of a worker, once its drain is over


async def run(
    config: Config,
    role: Role,
    stop: asyncio.Event,
    *,
    listening: socket.socket | None,
    on_ready: Callable[[Ports], None],
) -> None:
    """Run `role.workers` workers until `stop`, then drain them all.

    `listening`: the public port, where somebody else has opened it. Raises `GatewayError` when
    the gateway cannot start; a worker that ends later is replaced.
    """
    async with AsyncExitStack() as stack:
        place = await data_dir.enter(config, stack)
        shared = listening
        if shared is None and role.takes:
            shared = stack.enter_context(await sockets.listen(config.server))
        access = access_of(config.redis)
        engine = Engine(place.redis_url, timeout_s=config.redis.timeout_s, access=access)
        stack.push_async_callback(engine.close)
        all_workers = AllWorkers(config, engine)
        all_workers.files = place.engine_files(all_workers.counted)
        # With the lock: nobody else takes the directory while a worker still lives.
        fds = [place.lock_fd]
        listening_fd = loads_fd = None
        if shared is not None:
            loads_fd = stack.enter_context(_loads(role.workers)).fileno()
            listening_fd = shared.fileno()
            fds += [listening_fd, loads_fd]
            all_workers.loads = Loads(loads_fd, role.workers)
        for number in range(role.workers):
            own = replace(role, number=number)
            brief = Brief(config, own, place.redis_url, listening_fd, loads_fd)
            all_workers.slots.append(WorkerSlot(brief, tuple(fds), all_workers.ended))
        admin = AdminServer(config.admin, all_workers)
        await admin.start()
        stack.push_async_callback(admin.stop)
        gate = gate_to(engine, config.redis)
        supervisor = _Supervisor(all_workers, gate, config.server.drain_s)
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
    def __init__(self, all_workers: AllWorkers, gate: EngineGate, drain_s: float) -> None:
        """`gate`: workers have their own, but what they find they are only replaced for."""
        self._all_workers, self._gate, self._drain_s = all_workers, gate, drain_s
        self._slots: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []

    async def start(self, stop: asyncio.Event) -> None:
        """Return once every worker serves, or `stop` is set. Raises `GatewayError`."""
        slots = self._all_workers.slots
        self._slots = [asyncio.create_task(one.run(), name=f"worker {one.number}") for one in slots]
        self._others = [
            asyncio.create_task(self._all_workers.run(), name="all workers"),
            asyncio.create_task(self._gate.run(), name="gate"),
        ]
        deadline = asyncio.get_running_loop().time() + _START_S
        while not stop.is_set() and not all(one.is_ready.is_set() for one in slots):
            self._raise_failures()
            failed = next((one for one in slots if one.deaths), None)
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
                (stopped, *self._slots, *self._others), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await end([stopped])
        self._raise_failures()

    def _raise_failures(self) -> None:
        for task in (*self._slots, *self._others):
            if task.done():
                raise_failure(task)

    async def stop(self) -> None:
        """Drain all workers; kill those that take far too long."""
        log(_log, logging.INFO, "stopping the workers", workers=len(self._all_workers.slots))
        patience_s = self._drain_s + _LAST_STEPS_S
        await asyncio.gather(*(one.stop(patience_s) for one in self._all_workers.slots))
        if self._slots:
            await asyncio.wait(self._slots, timeout=_LAST_ANSWERS_S)
        await end((*self._slots, *self._others))
