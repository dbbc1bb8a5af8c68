"""`gateway run` once its configuration is read: the gateway, until it is told to end."""

import sys

import uvloop

from gateway import app, logs, open_files
from gateway.app.memory import collect_seldom
from gateway.commands import failure, reexec
from gateway.commands.banner import announce
from gateway.errors import GatewayError


def go_on() -> None:
    """Serve what was handed over; ends the process with the command's exit code."""
    logs.never_fail_for_them()
    try:
        serve(reexec.handed_over())
    except GatewayError as error:
        text, code = failure.of(error)
        sys.stderr.write(f"{text}\n")
        sys.exit(code)


def serve(order: reexec.ServeOrder) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises `GatewayError`."""
    config = order.config
    logs.set_up(level=config.log.level, style=config.log.format)

    def say(ports: app.Ports) -> None:
        announce(
            config,
            order.config_path,
            public_port=ports.public_port,
            admin_port=ports.admin_port,
            only=order.only,
        )

    open_files.raise_limit()
    collect_seldom()
    parts = app.ALL if order.only is None else frozenset([order.only])
    uvloop.run(app.run(config, parts=parts, on_ready=say))
