"""What `make run` installs."""

import shutil
import subprocess
from pathlib import Path

import pytest

_MAKEFILE = Path(__file__).parents[1] / "Makefile"


@pytest.mark.parametrize(
    ("text", "is_installed"),
    [
        ("subscribers:\n  - match: {where: 'event.a == 1'}\n", True),
        ("subscribers:\n  - match:\n      where: 'event.a == 1'\n", True),
        ('{"subscribers": [{"match": {"where": "event.a == 1"}}]}', True),
        ("subscribers: []\n  #    where: 'event.a == 1'\n", False),
        ("subscribers: []  # elsewhere where: no\n", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("config", ["config.yaml", "conf/other one.yaml"])
def test_the_expression_engine_is_installed_where_it_is_needed(
    tmp_path, text, is_installed, config
):
    """A configuration with a `where` gets the extra for it, every other one does without."""
    if shutil.which("make") is None:
        pytest.skip("make is not here")
    shutil.copy(_MAKEFILE, tmp_path)
    (tmp_path / "pyproject.toml").touch()
    path = tmp_path / config
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    named = [] if config == "config.yaml" else [f"CONFIG={config}"]
    command = ["make", "--dry-run", "run", *named]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ("-e '.[where]'" in done.stdout) is is_installed
    assert ("-e '.'" in done.stdout) is not is_installed
