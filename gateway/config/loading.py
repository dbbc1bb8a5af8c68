"""Reads one file through every check; raises with all that is wrong, or returns what it means."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.config import checks, findings, models, reading
from gateway.errors import ConfigError
from gateway.options import Config


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`; relative paths in it start at its own folder.

    Raises `ConfigError` with one line per mistake.
    """
    folder = path.absolute().parent
    values = reading.read(_content(path), folder=folder, environ=environ)
    document = findings.validate(values)
    checks.check(values)
    if values.mistakes or document is None:
        raise ConfigError("\n".join(f"{path}:{wrong}" for wrong in sorted(values.mistakes)))
    config: Config = document.build()
    given = frozenset(".".join(map(str, route)) for route in values.keys)
    return replace(config, data_dir=folder / config.data_dir, given=given)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        hint = "" if path.exists() else "; name it with --config, or write one: gateway init"
        raise ConfigError(f"{path}:1:1: cannot be read: {error.strerror}{hint}") from error


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema of the file, for editors that complete and check YAML."""
    return models.Document.model_json_schema()
