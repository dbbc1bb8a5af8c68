"""`gateway run`: the gateway itself, until SIGTERM or Ctrl-C."""

import gc
from pathlib import Path

import click
import uvloop

from gateway import app, logs
from gateway.commands.banner import announce
from gateway.commands.reach import CONFIG, load

_COLLECT_AFTER = 100_000  # containers made and not freed since the last look


@click.command()
@CONFIG
def run(*, config_path: Path) -> None:
    """Run the gateway.

    SIGTERM and Ctrl-C end it in good order: exit code 0. It is 1 when it cannot go on, such as
    with a port that is taken, and 2 when the configuration is wrong.
    """
    config = load(config_path)
    logs.set_up(level=config.log.level, style=config.log.format)

    def say(ports: app.Ports) -> None:
        announce(config, config_path, public_port=ports.public_port, admin_port=ports.admin_port)

    _collect_seldom()
    uvloop.run(app.run(config, on_ready=say))


def _collect_seldom() -> None:
    """Spare events the cycle collector's looks.

    They have no cycles and die by reference count, but thousands of them alive at once would set
    it off all the time; what was imported it need not look at again at all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
