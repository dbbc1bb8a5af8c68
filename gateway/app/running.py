"""How the gateway is run: as one process, or as a supervisor with its workers."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import closing, nullcontext

from gateway.app import single, sockets, supervisor
from gateway.app.part import Ports
from gateway.app.role import ALL, Name, Role
from gateway.errors import GatewayError
from gateway.options import Config


async def run(
    config: Config,
    *,
    parts: frozenset[Name] = ALL,
    on_ready: Callable[[Ports], None] = lambda _: None,
) -> None:
    """Run `parts` of the gateway until SIGTERM, SIGINT or SIGHUP; then drain and return.

    Raises `GatewayError` when it cannot start or cannot go on.
    """
    role = Role(parts, workers=config.server.workers)
    _check(config, role)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it for SIGHUP
            loop.add_signal_handler(number, stop.set)
    listening = sockets.passed_in(os.environ)
    run_it = supervisor.run if role.workers > 1 else single.run
    with closing(listening) if listening is not None else nullcontext():
        await run_it(config, role, stop, listening=listening, on_ready=on_ready)


def _check(config: Config, role: Role) -> None:
    """Raise `GatewayError` for what this configuration does not do."""
    if role.parts != ALL and config.redis.url == "embedded":
        raise GatewayError(
            "--only runs a part beside others, and the embedded Valkey belongs to one gateway"
            " alone: set redis.url to a server that all of them reach"
        )
    if role.parts == {"feed"} and not config.feed.enabled:
        raise GatewayError("--only feed has nothing to do: feed.enabled is false")
