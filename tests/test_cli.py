"""The command line itself: quick, complete, and clear when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.commands import run_here, write_config

from gateway import native
from gateway.app import ALL
from gateway.cli import COMMANDS
from gateway.commands import failure, run
from gateway.errors import ConfigError, EmbeddedEngineError, EngineUnavailable

SHIPPED = Path(__file__).parents[1] / "config.yaml"


def test_help_imports_nothing_heavy():
    """`gateway --help` answers at once: it imports no library but click."""
    code = (
        "import sys; from gateway.cli import cli; cli(['--help'], standalone_mode=False);"
        "print([name for name in ('aiohttp', 'redis', 'pydantic', 'uvloop', 'asyncio', 'yaml')"
        " if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.stderr.strip() == "[]"
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "run"])
def test_every_command_explains_itself(command):
    """Each command that is listed exists and has help."""
    assert run_here(command, "--help").exit_code == 0


def test_an_unknown_command_is_a_usage_error():
    """A command that does not exist is told, exit code 2."""
    result = run_here("nonsense")
    assert result.exit_code == 2
    assert "nonsense" in result.stderr


def test_the_version_is_told():
    """`--version` names the program."""
    assert run_here("--version").stdout.startswith("gateway")


def test_check_tells_what_the_shipped_configuration_does():
    """The configuration that ships is right, and the secret is not told."""
    result = run_here("check", "--config", SHIPPED)
    assert result.exit_code == 0
    assert "http://127.0.0.1:8080/webhooks/stream" in result.stdout
    assert "demo-secret" not in result.output


@pytest.mark.parametrize("wanted", ["1", "0"])
def test_check_tells_who_takes_webhooks(wanted):
    """Whether it is the C piece or Python is told, and with the C piece what hashes."""
    built = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", str(SHIPPED)],
        env={**os.environ, "GATEWAY_NATIVE": wanted},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    told = next(line for line in built.stdout.splitlines() if line.startswith("webhooks by"))
    if wanted == "0":
        assert told.endswith("Python, the C piece is left out (GATEWAY_NATIVE=0)")
    elif native.IS_BUILT:
        assert "the C piece, SHA-256 by " in told
    else:
        assert "Python, the C piece is not built here" in told


def test_check_tells_every_mistake_and_ends_with_2(tmp_path):
    """All mistakes, each with its place, on standard error."""
    path = tmp_path / "wrong.yaml"
    path.write_text("server: {port: 99999}\napps: []\nnonsense: 1\n")
    result = run_here("check", "--config", path)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len([line for line in result.stderr.splitlines() if line.startswith(f"{path}:")]) >= 2


def test_a_missing_configuration_is_told(tmp_path):
    """Exit code 2, with what to do, for every command that needs one."""
    for args in (("check",), ("dead", "list"), ("subscriber", "list"), ("ledger",), ("send",)):
        result = run_here(*args, "--config", tmp_path / "none.yaml")
        assert result.exit_code == 2
        assert "--config" in result.stderr


def test_the_schema_needs_no_configuration(tmp_path):
    """`check --schema` is JSON that names the keys."""
    result = run_here("check", "--schema", "--config", tmp_path / "none.yaml")
    assert "subscribers" in json.loads(result.stdout)["properties"]


@pytest.mark.parametrize(
    ("error", "exit_code", "text"),
    [
        (ConfigError("a:1:1: wrong"), 2, "a:1:1: wrong"),
        (EngineUnavailable("refused"), 1, "gateway: Redis is away: refused"),
        (EmbeddedEngineError("locked"), 1, "gateway: locked"),
    ],
)
def test_failures_are_one_clear_text_with_an_exit_code(error, exit_code, text):
    """Whoever is at fault, it is told without a traceback."""
    assert failure.of(error) == (text, exit_code)


def test_every_part_can_run_alone():
    """The command line knows the parts without importing them."""
    assert tuple(sorted(ALL)) == run.PARTS


def test_redis_that_is_away_is_told(tmp_path):
    """A Redis that nobody serves ends a command with 1 and one line."""
    path = write_config(tmp_path, redis=f"unix://{tmp_path}/nobody.sock")
    for args in (("dead", "list"), ("subscriber", "pause", "sub"), ("ledger",)):
        result = run_here(*args, "--config", path)
        assert result.exit_code == 1
        assert "Redis is away" in result.stderr
        assert "Traceback" not in result.stderr


def test_commands_do_not_make_data_where_no_gateway_ran(tmp_path):
    """A mistyped data_dir is told instead of created."""
    path = write_config(tmp_path)
    result = run_here("dead", "list", "--config", path)
    assert result.exit_code == 1
    assert "no gateway has run yet" in result.stderr
    assert os.listdir(tmp_path) == [path.name]


def test_commands_reach_the_embedded_server_of_a_gateway_that_is_stopped(tmp_path):
    """With nobody running, a command starts the server for the while and ends it."""
    path = write_config(tmp_path)
    (tmp_path / "data").mkdir()
    for _ in range(2):
        result = run_here("subscriber", "list", "--config", path)
        assert result.exit_code == 0
        assert "not started" in result.stdout


def test_a_redis_of_another_format_is_refused(tmp_path, engine_socket, engine_url):
    """Commands touch nothing that another version wrote, and leave an empty Redis empty."""
    from support.engines import inline

    path = write_config(tmp_path, redis=engine_url)
    assert run_here("dead", "list", "--config", path).exit_code == 0
    assert inline(engine_socket, b"DBSIZE") == [b":0"]
    inline(engine_socket, b'SET gw:format "{}"')
    result = run_here("dead", "list", "--config", path)
    assert result.exit_code == 1
    assert "another format" in result.stderr
