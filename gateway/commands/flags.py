"""The options that commands share, and the configuration that every one of them reads first."""

import os
from pathlib import Path

import click

from gateway import config as configuration
from gateway.options import Config

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    default=Path("config.yaml"),
    show_default=True,
    help="The configuration file.",
)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would happen; change nothing.")
JSON = click.option("--json", "as_json", is_flag=True, help="JSON, for programs.")


def load(path: Path) -> Config:
    """Return the configuration at `path`. Raises `ConfigError`."""
    return configuration.load(path, os.environ)
