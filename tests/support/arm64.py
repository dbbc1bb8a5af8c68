"""Debian's Python for ARM in 64 bits, run by qemu on whatever machine this is.

Its packages are fetched and unpacked into a folder of .venv, beside the wheels that the tests need:
nothing of them is installed. The emulator and the compiler are installed where we are root.
"""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import gateway

FOLDER = Path(sys.prefix) / "arm64"
ROOT = FOLDER / "root"
QEMU, CC = "qemu-aarch64-static", "aarch64-linux-gnu-gcc"
PACKAGES = {QEMU: "qemu-user-static", CC: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"}
WHEELS = (
    *("aiohttp", "hiredis", "hypothesis", "msgspec", "orjson", "pydantic", "pytest", "PyYAML"),
    *("pytest-asyncio", "redis", "rich", "click", "uvloop"),
)
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")


def run_here(command: list[str], reason: str) -> str:
    """Run it, or skip the test: `reason` says what could not be had."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        pytest.skip(f"{reason} cannot be had: {' '.join(last)}")
    return done.stdout


def require(program: str) -> None:
    """Skip unless this program of Debian's is there or can be installed."""
    if shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip(f"there is no {program}, and only root with apt can install it")
    quiet = ["apt-get", "-qq"]
    run_here([*quiet, "update"], "Debian's list of packages")
    packages = PACKAGES.get(program, "qemu-user-static").split()
    run_here([*quiet, "install", "-y", "--no-install-recommends", *packages], program)


def python() -> tuple[list[str], Path]:
    """Return the command of an ARM Python, and the folder that it finds wheels in."""
    for program in (QEMU, CC):
        require(program)
    if not (FOLDER / ".whole").exists():
        shutil.rmtree(FOLDER, ignore_errors=True)
        unpack_debian()
        fetch_wheels()
        (FOLDER / ".whole").touch()
    return [QEMU, "-L", str(ROOT), str(ROOT / "usr/bin/python3"), "-P"], FOLDER / "site"


def unpack_debian() -> None:
    """Fetch Python and all that it needs, by an apt of its own that knows no other architecture."""
    if not shutil.which("apt-get"):
        pytest.skip("Debian's Python for ARM cannot be had: there is no apt")
    for part in ("lists/partial", "cache/archives/partial", "root"):
        (FOLDER / part).mkdir(parents=True)
    (FOLDER / "status").touch()
    settings = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "APT::Sandbox::User": "",
        "Dir::State": FOLDER,
        "Dir::State::lists": FOLDER / "lists",
        "Dir::State::status": FOLDER / "status",
        "Dir::Cache": FOLDER / "cache",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in settings.items())]
    run_here([*apt, "update"], "Debian's list of packages for ARM")
    wanted = ["install", "-y", "--download-only", "--no-install-recommends"]
    run_here([*apt, *wanted, "python3", "libpython3-dev"], "Debian's Python for ARM")
    for package in (FOLDER / "cache/archives").glob("*.deb"):
        run_here(["dpkg-deb", "-x", str(package), str(ROOT)], package.name)


def fetch_wheels() -> None:
    """Fetch the versions that are installed here, as wheels for that Python."""
    version = next((ROOT / "usr/bin").glob("python3.*")).name.removeprefix("python")
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    command += ["--target", str(FOLDER / "site"), "--only-binary=:all:"]
    command += ["--python-version", version, "--implementation", "cp"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    command += [f"{name}=={importlib.metadata.version(name)}" for name in WHEELS]
    run_here(command, "wheels for ARM")


def build(folder: Path) -> None:
    """Copy the package into `folder`, with the C piece as it is on ARM."""
    package = Path(gateway.__file__).parent
    unwanted = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(package, folder / "gateway", ignore=unwanted)
    include = next((ROOT / "usr/include").glob("python3.*"))
    flags = [*sysconfig.get_config_var("CCSHARED").split(), "-shared", "-O2", "-Werror", "-Wall"]
    command = [CC, *flags, "-idirafter", str(ROOT / "usr/include"), f"-I{include}"]
    command += [str(package / "native/_native.c"), "-o", str(folder / "gateway/native/_native.so")]
    subprocess.run(command, check=True)
