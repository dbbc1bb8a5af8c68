"""Which tests are quick, and that they are: what `make quick` runs while somebody types.

A quick test is a plain function that has neither process nor socket nor thread. Nobody has to say so: it is whose file, with all of tests/ that it imports or has fixtures
from, imports nothing that could. What it does by way of the gateway's own code is watched while
it runs: who reaches out fails.
"""

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_TESTS = Path(__file__).parents[1]
_COMMON = _TESTS / "conftest.py"  # what every test has
_REACHING = {"aiohttp", "asyncio", "boto3", "multiprocessing", "redis", "socket", "subprocess"}
_REACHING |= {"threading", "uvloop"}
_FORBIDDEN = {
    *("os.exec", "os.fork", "os.posix_spawn", "os.system", "subprocess.Popen"),
    *("socket.bind", "socket.connect"),
}
_quick_is_running = False
_is_watching = False


def is_quick(item: pytest.Item) -> bool:
    """Tell whether a test that was collected belongs to `make quick`."""
    if not isinstance(item, pytest.Function) or inspect.iscoroutinefunction(item.function):
        return False
    fixtures = [one for found in item._fixtureinfo.name2fixturedefs.values() for one in found]
    sources = {Path(inspect.getfile(inspect.unwrap(one.func))) for one in fixtures}
    return not any(map(_reaches_out, {item.path, *sources} - {_COMMON}))


@functools.cache
def _reaches_out(path: Path) -> bool:
    """Tell whether a file of tests/ could; of others we expect nothing else than from pytest."""
    if not path.is_relative_to(_TESTS):
        return False
    names = set(_imported(ast.parse(path.read_text())))
    ours = [_found(name, path.parent) for name in names]
    return bool({name.partition(".")[0] for name in names} & _REACHING) or any(
        _reaches_out(one) for one in ours if one is not None and one != path
    )


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _found(name: str, beside: Path) -> Path | None:
    """The file of a module in tests/, or beside who imports it."""
    places = (folder.joinpath(*name.split(".")) for folder in (_TESTS, beside))
    files = (place.with_suffix(".py") for place in places)
    return next((file for file in files if file.is_file()), None)


@contextmanager
def kept_quick() -> Iterator[None]:
    """Have whatever reaches out fail, for as long as the block runs."""
    global _quick_is_running, _is_watching  # noqa: PLW0603 - a hook of the interpreter is for ever
    if not _is_watching:
        sys.addaudithook(_watch)
        _is_watching = True
    before, _quick_is_running = _quick_is_running, True
    try:
        yield
    finally:
        _quick_is_running = before


def _watch(event: str, details: tuple[Any, ...]) -> None:
    if _quick_is_running and event in _FORBIDDEN:
        raise AssertionError(f"a test of `make quick` does {event}{details}: see {__file__}")
