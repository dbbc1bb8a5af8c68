"""`gateway run`: the gateway itself, until SIGTERM or Ctrl-C."""

from pathlib import Path

import click
import uvloop

from gateway import app, logs
from gateway.app.collecting import collect_seldom
from gateway.commands.banner import announce
from gateway.commands.reach import CONFIG, load


@click.command()
@CONFIG
@click.option(
    "--only",
    type=click.Choice(sorted(app.ALL)),
    help="Run this part alone, beside others on the same Redis; a data_dir for each.",
)
def run(*, config_path: Path, only: app.Name | None) -> None:
    """Run the gateway.

    SIGTERM and Ctrl-C end it in good order: exit code 0. It is 1 when it cannot go on, such as
    with a port that is taken, and 2 when the configuration is wrong.
    """
    config = load(config_path)
    logs.set_up(level=config.log.level, style=config.log.format)

    def say(ports: app.Ports) -> None:
        announce(
            config, config_path, public_port=ports.public_port, admin_port=ports.admin_port,
            only=only,
        )  # fmt: skip

    collect_seldom()
    parts = app.ALL if only is None else frozenset([only])
    uvloop.run(app.run(config, parts=parts, on_ready=say))
