"""Fixtures of the SDK tests. What is not installed skips its tests."""

import json
import sys
from pathlib import Path

import pytest
from drivers import Driver, in_chromium, in_node, node_sdk, python_sdk
from support.hard import first
from support.running_gateway import running_gateway

_PACKAGES = Path(__file__).parent / "node" / "node_modules"


def pytest_collection_modifyitems(items):
    """Tests of one kind run in one process: two browsers at once would starve two cores."""
    for item in items:
        if item.path.parent == Path(__file__).parent and not _grouped(item):
            kind = "chromium" if "chromium" in item.name else "node"
            item.add_marker(pytest.mark.xdist_group(f"sdk-{kind}"))


def _grouped(item) -> bool:
    return item.get_closest_marker("xdist_group") is not None


def _found(what: str) -> str:
    """What tests/sdk/install.py found."""
    path = Path(sys.prefix) / "sdk.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    if what not in found or not _PACKAGES.exists():
        reason = found.get("missing") or found.get(f"no_{what}") or "`make test` installs it"
        pytest.skip(f"no {what} with Stream's SDKs: {reason}")
    return found[what]


@pytest.fixture(scope="session")
def node() -> str:
    return _found("node")


@pytest.fixture(scope="session")
def chromium(node) -> str:
    return _found("chromium")


@pytest.fixture
async def gateway(tmp_path):
    """Every user may watch every call, and there are guests."""
    settings = {"feed": {"access": "any", "guests": True}, "server": {"drain": "1s"}}
    async with running_gateway(tmp_path / "g", **settings) as gateway:
        await gateway.up()  # or who comes now is sent away, to come again
        yield gateway


@pytest.fixture
async def node_users(node, tmp_path):
    async with in_node(node, tmp_path / "node.log") as driver:
        yield driver


@pytest.fixture
async def chromium_users(node, chromium, tmp_path):
    async with in_chromium(node, chromium, tmp_path / "chromium.log") as driver:
        yield driver


@pytest.fixture(params=first("node", "chromium"))
def users(request) -> Driver:
    """Users of video-client: each test runs with them in Node and in Chromium."""
    return request.getfixturevalue(f"{request.param}_users")


@pytest.fixture
async def node_server(node, tmp_path):
    async with node_sdk(node, tmp_path / "node-sdk.log") as driver:
        yield driver


@pytest.fixture
async def python_server(tmp_path):
    async with python_sdk(tmp_path / "getstream.log") as driver:
        yield driver


@pytest.fixture(params=["node", "python"])
def servers(request) -> Driver:
    """An application's server: each test runs with node-sdk and with getstream."""
    return request.getfixturevalue(f"{request.param}_server")
