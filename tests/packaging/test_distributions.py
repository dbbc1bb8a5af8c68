"""Wheel and sdist: what somebody gets who has no clone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.bare_venv import bare_venv
from support.checkout import REPOSITORY, clone, files

pytestmark = [
    pytest.mark.hard,
    pytest.mark.xdist_group("distributions"),  # one build for all
    pytest.mark.timeout(900),  # compilers and pip take their time on a busy machine
]
BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])('dist')"


def build(folder: Path, what: str) -> Path:
    command = [sys.executable, "-c", BUILD, what]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = (folder / "dist").iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build(clone(tmp_path_factory.mktemp("clone")), "build_sdist")


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sdist")
    subprocess.run(["tar", "-xzf", str(sdist), "-C", str(folder)], check=True)
    return folder / sdist.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(unpacked):
    return build(unpacked, "build_wheel")


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The folder of commands of an environment in which nothing but the wheel was installed."""
    python = bare_venv(tmp_path_factory.mktemp("bare") / "venv")
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True)
    return python.parent


def of_the_package():
    return {str(path) for path in files() if path.parts[0] == "gateway"}


def test_the_sdist_holds_the_whole_package(unpacked):
    """Every file of the package, the C piece's too, its licence, and what is put beside it."""
    assert {name for name in of_the_package() if not (unpacked / name).is_file()} == set()
    for name in ("LICENSE", "NOTICE", "README.md", "pyproject.toml", "deploy/Containerfile"):
        assert (unpacked / name).read_bytes() == (REPOSITORY / name).read_bytes()


def test_the_wheel_made_of_the_sdist_holds_all_that_runs(wheel):
    """Every file of the package but the C piece's source; the files of deploy/ in `share`."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    runs = {name for name in of_the_package() if not name.endswith((".c", ".h"))}
    assert runs - inside == set()
    shared = {name.partition("/data/share/stream-video-gateway/")[2] for name in inside}
    deployed = {path for path in files() if path.parts[0] == "deploy"}
    assert {str(path.relative_to("deploy")) for path in deployed} - shared == set()
    assert {"CHANGELOG.md", "SECURITY.md"} < shared


def test_the_wheel_alone_is_enough_to_start_with(installed, tmp_path):
    """Installed where nothing else of ours is, it writes a configuration and finds it right."""

    def gateway(*args: str) -> subprocess.CompletedProcess[str]:
        command = [str(installed / "gateway"), *args]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)

    code = "import gateway, sys; print(gateway.__file__.startswith(sys.prefix))"
    ours = subprocess.run(
        [str(installed / "python"), "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ours.stdout == "True\n"
    written = gateway("init")
    assert (written.returncode, written.stderr) == (0, "")
    assert (tmp_path / "config.yaml").read_bytes() == (REPOSITORY / "config.yaml").read_bytes()
    checked = gateway("check")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "console: log" in checked.stdout
    assert gateway("init").returncode == 1
