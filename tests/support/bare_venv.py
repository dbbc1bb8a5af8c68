"""A virtual environment without the gateway, which finds what it depends on in ours."""

import subprocess
import sys
import sysconfig
from pathlib import Path


def bare_venv(folder: Path) -> Path:
    """Make it; return its python. Our own packages come after its own, and without a network."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    command = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python
