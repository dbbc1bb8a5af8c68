"""What becomes of a test that cannot be run."""

import os
import subprocess
import sys

import pytest

FILE = """
import pytest

@pytest.mark.skipif(True, reason="no bread")
def test_by_its_mark(): ...

def test_by_itself():
    pytest.skip("no butter")

@pytest.fixture
def knife():
    pytest.skip("no knife")

def test_by_its_fixture(knife): ...

@pytest.mark.xfail(reason="known", strict=True)
def test_that_fails_as_expected():
    raise AssertionError

def test_that_runs(): ...
"""
MODULE = 'import pytest; pytest.skip("no table", allow_module_level=True)'


@pytest.mark.parametrize(
    ("ci", "outcome", "code"),
    [
        ("true", "1 failed, 1 passed, 1 xfailed, 3 errors", 1),
        ("", "1 passed, 4 skipped, 1 xfailed", 0),
    ],
)
def test_a_skip_is_a_failure_where_ci_is_true(tmp_path, ci, outcome, code):
    """With its reason; elsewhere it is a skip, with its reason too."""
    (tmp_path / "test_meal.py").write_text(FILE)
    (tmp_path / "test_table.py").write_text(MODULE)
    environment = {**os.environ, "CI": ci, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "pytest", "-p", "support.skips", "-p", "no:cacheprovider"]
    told = subprocess.run(
        [*command, "-ra", "--continue-on-collection-errors", "."],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == code, told.stdout + told.stderr
    assert outcome in told.stdout
    for reason in ("no bread", "no butter", "no knife", "no table"):
        assert reason in told.stdout
