"""`gateway init`: a configuration to start from.

The text is the one that ships at the top of the repository; a file that is there already is never
touched. It will hold a secret, so it is readable by its owner alone.
"""

import os
import shlex
from importlib import resources
from pathlib import Path

import click

from gateway.commands.banner import command_line
from gateway.errors import GatewayError

STARTING = "config.yaml"  # beside this module


def text() -> str:
    """Return the configuration that is written."""
    return resources.files("gateway.commands").joinpath(STARTING).read_text()


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path(STARTING))
def init(*, path: Path) -> None:
    """Write a configuration to start from, to PATH (config.yaml).

    It runs as it is. A file that exists is left as it is.
    """
    path = path / STARTING if path.is_dir() else path
    try:
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise GatewayError(f"{path} is there already: it is left as it is") from error
    except OSError as error:
        raise GatewayError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(written, "w") as file:
        file.write(text())
    click.echo(_next(path))


def _next(path: Path) -> str:
    named = "" if path == Path(STARTING) else f" --config {shlex.quote(str(path))}"
    command = command_line()
    return f"""\
{path} is written; it runs as it is, with the demo key. Next:
  {command} run{named}      start
  {command} send{named}     in another terminal: a first event of every kind
  {command} check{named}    after a change: every mistake, with its place
Before strangers can reach the port, put your app's API key and secret in place of the demo ones."""
