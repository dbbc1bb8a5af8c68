"""The C piece is in use, and right, on processors that this machine does not have."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import arm64

from gateway import native

TESTS = Path(__file__).parents[1]
# Of what is compared with Python, that which depends on the processor; the rest takes minutes.
COMPARED = "sample or hashes_of_every_length or whole_numbers"

pytestmark = pytest.mark.skipif(not native.IS_BUILT, reason="the C piece is not built here")


def ask(python, folder, *words, path=()):
    """Run Python elsewhere than here, so that it finds what `path` has."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (*path, TESTS)))}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(
        [*python, *map(str, words)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def in_use(python, folder, path=()):
    """Return the codes for hashing that the C piece finds there."""
    words = "from gateway.native import _native, told; print(*_native.HASHINGS, told(), sep='|')"
    done = ask(python, folder, "-c", words, path=path)
    assert not done.returncode, done.stdout
    return done.stdout.strip().split("|")


def check(python, folder, *tests, path=()):
    """Run tests there; each of them runs, and passes."""
    options = ["-q", "--noconftest", "-p", "no:cacheprovider", "--rootdir", TESTS]
    options += ["-c", os.devnull, "-o", "asyncio_mode=auto"]
    done = ask(python, folder, "-m", "pytest", *options, *tests, path=path)
    assert not done.returncode, done.stdout
    assert "skipped" not in done.stdout, done.stdout
    assert "passed" in done.stdout


@pytest.mark.hard
@pytest.mark.timeout(1800)  # emulated
def test_on_arm(tmp_path):
    """On ARM the C piece takes webhooks as Python does, and hashes by the processor."""
    python, site = arm64.python()
    arm64.build(tmp_path)
    path = (tmp_path, site)
    told = "the C piece, SHA-256 by the processor's instructions (armv8-sha2)"
    assert in_use(python, tmp_path, path) == ["armv8-sha2", "portable", told]
    folder = TESTS / "native"
    check(python, tmp_path, folder / "test_hashing.py", folder / "test_receiver.py", path=path)
    check(python, tmp_path, folder / "test_same_as_python.py", "-k", COMPARED, path=path)


@pytest.mark.hard
@pytest.mark.timeout(1800)  # emulated
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="this is no x86")
def test_on_x86_without_instructions(tmp_path):
    """On a processor older than SHA's instructions the C piece is in use, and its hashing portable.

    It must not use what it has not found: one instruction of that kind ends the process.
    """
    arm64.require("qemu-x86_64-static")
    python = [shutil.which("qemu-x86_64-static"), "-cpu", "Nehalem", sys.executable]
    told = "the C piece, SHA-256 by portable C"
    assert in_use(python, tmp_path) == ["portable", told]
    folder = TESTS / "native"
    check(python, tmp_path, folder / "test_hashing.py", folder / "test_receiver.py")


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells of its processor")
def test_what_the_processor_has_is_used():
    """The instructions are found where Linux names them among the processor's."""
    words = set(Path("/proc/cpuinfo").read_text().split())
    expected = {"x86_64": ("sha_ni", "x86-sha"), "aarch64": ("sha2", "armv8-sha2")}
    flag, name = expected.get(os.uname().machine, ("", ""))
    has = "portable" if flag not in words else name
    assert native._native.hashing() == has
