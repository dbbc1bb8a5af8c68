"""Watchers by server-sent events whose network has vanished: they only listen, and say no goodbye."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("vanishing.py")
_UNSHARE = ("unshare", "--user", "--map-root-user", "--net")


@pytest.fixture(scope="session")
def own_network():
    """A command that runs another in a network of its own."""
    tools = all(map(shutil.which, ("unshare", "ip")))
    if not tools or subprocess.run([*_UNSHARE, "true"], check=False).returncode:
        pytest.skip("no network of one's own can be had")
    return _UNSHARE


def vanish(own_network, folder, ping_s):
    command = [*own_network, sys.executable, SCRIPT, folder, str(ping_s)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_they_are_let_go(own_network, tmp_path):
    """Within a few pings, also when nothing happens in the call; who is there stays."""
    assert vanish(own_network, tmp_path / "g", 1)["open"] == 3


def test_they_never_lock_their_user_out(own_network, tmp_path):
    """Who comes back while all that he may have are dead is let in at once, long before the next
    ping; for whom all are alive the bound stands.
    """
    told = vanish(own_network, tmp_path / "g", 600)
    assert (told["ann"], told["ben"]) == (200, 429)
