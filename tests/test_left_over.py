"""What a test run leaves behind, whatever becomes of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from support.eventually import eventually
from support.left_over import MARK
from support.ports import free_port

RUN = """
import subprocess, sys
from support.left_over import ends_with_us
ends_with_us()
started = subprocess.Popen(["sleep", "600"], start_new_session=True)
print(started.pid, flush=True)
sys.stdin.read()
"""
PORTS = """
import sys
from support.ports import free_ports
print(*free_ports(499), flush=True)
sys.stdin.read()
"""


def run(script):
    """Run it as part of another test run; its output is read, and its input held open."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_no_process_outlives_the_run_that_started_it():
    """Not even one in a session of its own, when the run is killed on the spot."""
    with run(RUN) as other:
        started = int(other.stdout.readline())
        assert is_running(started)
        other.send_signal(signal.SIGKILL)
    await eventually(lambda: not is_running(started))


def test_this_run_is_watched():
    """What tests start bears the mark."""
    told = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    assert f"{MARK}={os.environ[MARK]}\n" in told


def test_runs_side_by_side_share_no_port():
    """Each has a block of ports for itself, and so has this one."""
    ours = {free_port() for _ in range(499)}
    with run(PORTS) as one, run(PORTS) as other:
        theirs = [set(map(int, each.stdout.readline().split())) for each in (one, other)]
        assert all(len(each) > 1 for each in theirs)
        assert not theirs[0] & theirs[1]
        assert not ours & (theirs[0] | theirs[1])
        one.stdin.close()
        other.stdin.close()
