"""The repository as a clone has it: what git knows, or would take in, and nothing built."""

import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def files() -> list[Path]:
    """Every file of a clone, below the repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True).stdout
    named = (Path(name.decode()) for name in listed.split(b"\0") if name)
    return [path for path in named if (REPOSITORY / path).is_file()]


def clone(folder: Path) -> Path:
    """Copy what a clone has into `folder`."""
    for path in files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, target)
    return folder
