"""`gateway run`: the gateway itself, until SIGTERM or Ctrl-C."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway import logs
from gateway.commands import reexec
from gateway.commands.flags import CONFIG, load

if TYPE_CHECKING:
    from gateway.app import Name

PARTS = ("delivery", "feed", "ingest")  # `gateway.app.ALL`, which would import all of them


@click.command()
@click.pass_obj
@CONFIG
@click.option(
    "--only",
    type=click.Choice(PARTS),
    help="Run this part alone, beside others on the same Redis; a data_dir for each.",
)
def run(
    hand_over: Callable[[reexec.ServeOrder], None] | None, *, config_path: Path, only: "Name | None"
) -> None:
    """Run the gateway.

    SIGTERM and Ctrl-C end it in good order: exit code 0. It is 1 when it cannot go on, such as
    with a port that is taken, and 2 when the configuration is wrong.
    """
    order = reexec.ServeOrder(load(config_path), config_path, only)
    if hand_over is not None:  # the process is ours
        hand_over(order)
        logs.never_fail_for_them()
    from gateway.commands.serving import serve  # noqa: PLC0415  # by the next program, mostly

    serve(order)
