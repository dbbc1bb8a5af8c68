"""Our Lua scripts: each a file in `lua/`, whose opening comment is its contract.

All are read at the start: later there may be no file left to open.
"""

from functools import cache
from pathlib import Path

from gateway.engine.script import Script

_FOLDER = Path(__file__).with_name("lua")

_SCRIPTS = {path.stem: Script(path.stem, path.read_bytes()) for path in _FOLDER.glob("*.lua")}


def script(name: str) -> Script:
    """Return the script in `lua/<name>.lua`. Raises `KeyError` for an unknown one."""
    return _SCRIPTS[name]


@cache
def joined(name: str) -> Script:
    """Return the script that does for many shards, in one call, what `name` does for one."""
    one, many = script(name).source, script("joined").source
    return Script(f"{name}, joined", b"local function run(KEYS, ARGV)\n" + one + b"end\n" + many)
