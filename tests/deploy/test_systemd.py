"""deploy/systemd: the service, and the socket that holds its port."""

import configparser
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.checkout import REPOSITORY
from support.command_lines import parse

from gateway import config
from gateway.options import ServerOptions

UNITS = REPOSITORY / "deploy" / "systemd"


def unit(name):
    read = configparser.ConfigParser(interpolation=None, comment_prefixes="#")
    read.optionxform = str
    read.read_string((UNITS / name).read_text())
    return read


SERVICE, SOCKET = unit("stream-gateway.service"), unit("stream-gateway.socket")


def test_systemd_finds_nothing_wrong_with_them(tmp_path):
    """`systemd-analyze verify` is content, once the command is one that this machine has."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here (Debian: systemd)")
    installed = shlex.split(SERVICE["Service"]["ExecStart"])[0]
    here = str(Path(sys.executable).with_name("gateway"))
    for path in UNITS.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace(installed, here))
    command = [analyze, "verify", "--man=no", "--recursive-errors=no"]
    done = subprocess.run(
        [*command, *map(str, sorted(tmp_path.iterdir()))], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_service_starts_the_gateway_as_its_command_line_wants_it():
    """The command parses, and needs nothing but the configuration that it names."""
    program, *words = shlex.split(SERVICE["Service"]["ExecStart"])
    assert program.endswith("/.venv/bin/gateway")
    assert parse(words) == "run"


def test_systemd_waits_for_the_drain_and_kills_nothing_of_ours():
    """SIGTERM goes to the gateway alone, and it has longer than its drain."""
    assert SERVICE["Service"]["KillMode"] == "mixed"
    assert float(SERVICE["Service"]["TimeoutStopSec"]) > ServerOptions().drain_s
    assert SERVICE["Unit"]["Requires"] == "stream-gateway.socket"


def test_the_socket_is_at_the_address_of_the_configuration_that_ships():
    """Whoever follows a page finds the port where the configuration says it is."""
    shipped = config.load(REPOSITORY / "config.yaml", {}).server
    assert SOCKET["Socket"]["ListenStream"] == f"{shipped.host}:{shipped.port}"


def test_the_data_directory_is_the_one_place_that_may_be_written_to():
    """The folder that systemd makes is the one that the unit's first lines tell to configure."""
    assert SERVICE["Service"]["ProtectSystem"] == "strict"
    folder = f"/var/lib/{SERVICE['Service']['StateDirectory']}"
    assert f"# {folder}," in (UNITS / "stream-gateway.service").read_text()
