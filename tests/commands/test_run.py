"""`gateway run` as a process: what it tells, and how it ends."""

import os
import re
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import uvloop
from support.commands import run_here, write_config
from support.eventually import eventually

from gateway.engine.engine import Engine
from gateway.store.upkeep.ledger import read_ledger


@contextmanager
def gateway_process(config):
    """`gateway run`; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "--config", config],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def told_until(process, text):
    """All lines of standard error up to the one with `text`, or to its end."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def held_by(process):
    """What a process has open."""
    held = []
    for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            held.append(os.readlink(descriptor))
    return held


async def published(url, count):
    return (await ledger(url))["published"] == count


async def ledger(url):
    engine = Engine(url)
    try:
        return await read_ledger(engine)
    finally:
        await engine.close()


def test_it_tells_where_to_send_a_first_event_and_ends_in_good_order(tmp_path, engine_url):
    """The ports in the banner are open, an event sent there is in the ledger, SIGTERM is 0."""
    config = write_config(
        tmp_path, redis=engine_url, more="server: {port: 0}\nadmin: {port: 0}\nlog: {level: error}"
    )
    with gateway_process(config) as process:
        banner = told_until(process, "Send a first event")
        url = re.search(r"http://\S+/webhooks/stream", banner)[0]
        sent = run_here("send", "--config", config, "--url", url, "--type", "call.created")
        assert sent.exit_code == 0, sent.output
        count = int(sent.stdout.split()[0])
        uvloop.run(eventually(lambda: published(engine_url, count), within_s=60))
        process.terminate()
        _, said = process.communicate(timeout=90)
        assert (process.returncode, said) == (0, "")


def test_a_port_that_is_taken_is_one_clear_line(tmp_path, engine_url):
    """Exit code 1, without a traceback, for either listener."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for ports in (
            f"server: {{port: {port}}}\nadmin: {{port: 0}}",
            f"server: {{port: 0}}\nadmin: {{port: {port}}}",
        ):
            config = write_config(tmp_path, redis=engine_url, more=ports)
            with gateway_process(config) as process:
                _, told = process.communicate(timeout=90)
            assert process.returncode == 1
            assert str(port) in told
            assert "Traceback" not in told


def test_a_wrong_configuration_ends_with_2(tmp_path):
    """Nothing is started."""
    config = write_config(tmp_path, more="nonsense: 1")
    with gateway_process(config) as process:
        _, told = process.communicate(timeout=90)
    assert process.returncode == 2
    assert told.startswith(f"{config}:")


@pytest.mark.parametrize("command", [("run",), ("move", "--to", "redis://127.0.0.1:1")])
def test_a_data_dir_that_cannot_be_used(tmp_path, command):
    """One line that names it and says what to do, exit code 1."""
    config = write_config(tmp_path, more="data_dir: in-the-way/data")
    (tmp_path / "in-the-way").write_bytes(b"")
    said = run_here(*command, "--config", config)
    assert said.exit_code == 1
    assert said.stderr.startswith(f"gateway: cannot use data_dir {tmp_path}/in-the-way/data: ")
    assert "may write to" in said.stderr


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="this system hands nothing over")
def test_what_serves_has_forgotten_how_to_read_a_configuration(tmp_path, engine_url):
    """It is the same process by the same command line, and hands nothing on to what it starts."""
    more = "server: {port: 0, workers: 2}\nadmin: {port: 0}"
    config = write_config(tmp_path, redis=engine_url, more=more)
    with gateway_process(config) as process:
        told_until(process, "Send a first event")
        proc = Path(f"/proc/{process.pid}")
        assert proc.joinpath("cmdline").read_bytes().split(b"\0")[1:-1] == [
            b"-m",
            b"gateway",
            b"run",
            b"--config",
            bytes(config),
        ]
        loaded = proc.joinpath("maps").read_text()
        assert "uvloop" in loaded
        assert "pydantic" not in loaded
        assert not [one for one in held_by(process) if "memfd:gateway" in one]
        for child in proc.joinpath(f"task/{process.pid}/children").read_text().split():
            environment = Path(f"/proc/{child}/environ").read_bytes()
            assert b"GATEWAY_HANDED" not in environment
        process.terminate()
        process.communicate(timeout=90)
        assert process.returncode == 0


def test_where_nothing_can_be_handed_over_it_serves_all_the_same(tmp_path, engine_url):
    """A system that forbids it costs memory, nothing else."""
    config = write_config(tmp_path, redis=engine_url, more="server: {port: 0}\nadmin: {port: 0}")
    forbidding = (
        "import os, sys; from gateway.__main__ import main\n"
        "def forbidden(*_): raise PermissionError('forbidden')\n"
        "os.execv = forbidden; sys.argv[1:] = ['run', '--config', sys.argv[1]]; main()"
    )
    command = [sys.executable, "-c", forbidding, str(config)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            told_until(process, "Send a first event")
            assert not [one for one in held_by(process) if "memfd:gateway" in one]
            process.terminate()
            process.communicate(timeout=90)
            assert process.returncode == 0
        finally:
            process.kill()
