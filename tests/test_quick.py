"""What `make quick` runs is quick, and stays so."""

import importlib
import os
from pathlib import Path

import pytest
from support.quick import kept_quick


def test_it_is_chosen_by_what_it_imports(request):
    """Nobody has to mark it."""
    assert request.node.get_closest_marker("quick") is not None


def test_who_starts_a_process_fails():
    """By whatever way."""
    for starts in (
        lambda: importlib.import_module("subprocess").run(["true"], check=True),
        lambda: os.system("true"),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
    ):
        with kept_quick(), pytest.raises(AssertionError, match="a test of `make quick` does"):
            starts()


def test_who_reaches_a_socket_fails():
    """Be it to listen or to be heard."""
    with importlib.import_module("socket").socket() as one, kept_quick():
        for reaches in (one.bind, one.connect):
            with pytest.raises(AssertionError, match="a test of `make quick` does"):
                reaches(("127.0.0.1", 9))


def test_a_file_may_be_read_and_written(tmp_path):
    """Disks are quick enough, where nobody waits for them."""
    path = Path(tmp_path / "file")
    path.write_text("x")
    assert path.read_text() == "x"


async def test_a_test_with_a_loop_is_another_matter(request):
    """It is left to `make test`."""
    assert request.node.get_closest_marker("quick") is None


def test_a_test_with_a_server_is_another_matter(request, engine_url):
    """Whoever starts it."""
    assert request.node.get_closest_marker("quick") is None
