"""`gateway check`: is the configuration right, and what does it do?"""

import json
from pathlib import Path

import click

from gateway import config as configuration
from gateway import native, open_files, sizing
from gateway.cgroups import memory_limit_bytes
from gateway.commands.flags import CONFIG, load


@click.command()
@CONFIG
@click.option("--schema", is_flag=True, help="Print the file's JSON Schema, for editors.")
def check(*, config_path: Path, schema: bool) -> None:
    """Check the configuration and tell what it does.

    Every mistake is told in one go, as file:line:col; then the exit code is 2. Bounds in memory
    and in open files are added up, and the first that does not fit is named.
    """
    if schema:
        click.echo(json.dumps(configuration.json_schema(), indent=2))
    else:
        config = load(config_path)
        click.echo(configuration.describe(config))
        click.echo(f"webhooks by   {native.told()}")
        click.echo("\n".join(sizing.told(config, memory_limit_bytes())))
        click.echo("\n".join(open_files.told(config, open_files.raise_limit())))
