"""What a process that serves has in memory: no client library that it does not use."""

import subprocess
import sys

import pytest
from plain_client import watching
from support.engines import running_engine
from support.eventually import eventually
from support.feed import Sender, feeding_gateway
from support.receiver import running_receiver

# redis-py takes 6 MB, and only Sentinels and Clusters are asked by it.
CASES = {
    "embedded": (False, {}),
    "a server": (True, {}),
    "workers": (False, {"server": {"workers": 2}}),
}


@pytest.fixture
def told_imports(monkeypatch):
    """Have every process tell in its log what it imports, whenever."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")


@pytest.mark.parametrize("case", CASES)
async def test_one_server_takes_no_client_library(tmp_path, told_imports, case):
    """Whatever a process has done (took a webhook, delivered it, showed it to a watcher), it has
    never imported redis-py.
    """
    is_named, settings = CASES[case]
    async with running_engine(tmp_path / "r") as url, running_receiver() as receiver:
        settings["subscribers"] = [{"name": "app", "kind": "http", "url": receiver.url}]
        if is_named:
            settings["redis"] = {"url": url}
        async with feeding_gateway(tmp_path / "g", dict(settings)) as gateway:
            async with watching(gateway) as socket, Sender(gateway) as sender:
                await sender.number(1)
                assert await socket.numbers(1) == [0]
                await eventually(lambda: len(receiver.bodies) == 1)
            await gateway.settled()
    imported = imports_in(gateway.log_text)
    assert {"gateway.engine.engine", "hiredis", "gateway.feed.service"} <= imported
    assert not {name for name in imported if name.split(".")[0] == "redis"}


def test_who_has_to_ask_has_one():
    """The same look finds it where it is used."""
    code = "from gateway.engine.servers import topology_of as of; from gateway.engine.access import EngineAccess;"
    for url, expected in (
        ("redis://x", False),
        ("redis+sentinel://x/name", True),
        ("redis+cluster://x", True),
    ):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", f"{code} of({url!r}, EngineAccess(), 1.0)"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ("redis" in imports_in(done.stderr)) == expected


def imports_in(log):
    lines = (line for line in log.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}
