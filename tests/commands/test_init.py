"""`gateway init`: a configuration to start from."""

import stat
from pathlib import Path

from support.commands import run_here

from gateway.commands import init

SHIPPED = Path(__file__).parents[2] / "config.yaml"


def test_what_ships_and_what_is_written_are_one_text():
    """config.yaml at the top, and the one in the package. If this fails, copy the changed one over
    the other: cp config.yaml gateway/commands/config.yaml
    """
    assert init.text() == SHIPPED.read_text()


def test_it_writes_a_configuration_that_is_right(tmp_path):
    """What is written passes the check, and is readable by its owner alone."""
    path = tmp_path / "mine.yaml"
    assert run_here("init", path).exit_code == 0
    assert run_here("check", "--config", path).exit_code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_says_what_next(tmp_path, monkeypatch):
    """The commands as they can be typed here: with --config where the name is not the default."""
    monkeypatch.chdir(tmp_path)
    said = run_here("init").stdout
    for command in ("run ", "send ", "check "):
        assert f"gateway {command}" in said
    assert "--config" not in said
    assert f"run --config '{tmp_path}/m y.yaml'" in run_here("init", tmp_path / "m y.yaml").stdout


def test_it_never_overwrites(tmp_path):
    """A file, or a link to nowhere, stays as it is, and that is told."""
    path = tmp_path / "config.yaml"
    path.write_text("mine")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "nowhere")
    for where in (path, tmp_path, tmp_path / "link.yaml"):
        result = run_here("init", where)
        assert result.exit_code == 1
        assert "is there already" in result.stderr
        assert result.stdout == ""
    assert path.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_a_folder_is_given_the_file_by_its_usual_name(tmp_path):
    """PATH may be a folder; one that does not exist is told."""
    assert run_here("init", tmp_path).exit_code == 0
    assert (tmp_path / "config.yaml").read_text() == SHIPPED.read_text()
    result = run_here("init", tmp_path / "none" / "config.yaml")
    assert result.exit_code == 1
    assert "cannot be written: No such file" in result.stderr
