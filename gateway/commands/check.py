"""`gateway check`: is the configuration right, and what does it do?"""

import json
from pathlib import Path

import click

from gateway import config as configuration
from gateway.commands.flags import CONFIG, load


@click.command()
@CONFIG
@click.option("--schema", is_flag=True, help="Print the file's JSON Schema, for editors.")
def check(*, config_path: Path, schema: bool) -> None:
    """Check the configuration and tell what it does.

    Every mistake is told in one go, as file:line:col; then the exit code is 2.
    """
    if schema:
        click.echo(json.dumps(configuration.json_schema(), indent=2))
    else:
        click.echo(configuration.describe(load(config_path)))
