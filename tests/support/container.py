"""What a Containerfile makes, without an engine for containers: its steps, run in a root of their own.

The root is this machine's, under a layer in memory that takes all that is written and ends with the
test. Python and pip are those of an environment in it; it finds what the gateway depends on in ours,
so pip needs no network.
"""

import contextlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.containerfile import Instruction

ENVIRONMENT = {
    "PATH": "/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say: without
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
}
_LAYER = """
mount -t tmpfs -o mode=755 none "$1"
mkdir "$1/changed" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/changed,workdir=$1/work" overlay "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
echo made
exec cat
"""


class Root:
    """`folder`: its root, as whoever is in its mounts sees it."""

    def __init__(self, holder: subprocess.Popen[str], folder: Path) -> None:
        self._holder, self.folder = holder, folder

    def enter(self, *command: str) -> list[str]:
        """Return the command that runs another one among its mounts."""
        return ["nsenter", f"--target={self._holder.pid}", "--mount", "--", *command]

    def run(
        self, script: str, *, workdir: str = "/", **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a step of the shell in it, as root."""
        inside = ["chroot", str(self.folder), "sh", "-ec", f"cd {workdir}\n{script}"]
        return subprocess.run(
            self.enter(*inside),
            env={**ENVIRONMENT, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )

    def copy(self, source: Path, target: str) -> None:
        """Copy a file, or what is in a folder, from outside."""
        what = f"{source}/." if source.is_dir() else str(source)
        command = ["cp", "-R", what, f"{self.folder}{target}"]
        subprocess.run(self.enter(*command), check=True)


@contextlib.contextmanager
def layered_root(folder: Path) -> Iterator[Root]:
    """Make a root with a Python of its own; skip where we may not."""
    command = ["unshare", "--mount", "sh", "-ec", _LAYER, "sh", str(folder)]
    holder = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stderr is not None
        try:
            if holder.stdout.readline() != "made\n":
                pytest.skip(f"no root of our own here: {holder.stderr.read().strip()}")
            root = Root(holder, folder / "root")
            _provide_python(root)
            yield root
        finally:
            holder.terminate()


def _provide_python(root: Root) -> None:
    """Make /venv, and let whoever is not root reach the Python that it is made of."""
    ours = sysconfig.get_path("purelib")
    reached = {*Path(ours).parents, *Path(sys.base_prefix).parents, *Path(os.__file__).parents}
    made = root.run(
        f"""
        chmod o+x {" ".join(map(str, sorted(reached)))}
        {sys.executable} -m venv /venv
        cd "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
        rm -rf setuptools* pkg_resources _distutils_hack distutils-precedence.pth  # an old one
        echo {ours} > ours.pth
        """
    )
    assert made.returncode == 0, made.stderr


def build(root: Root, instructions: list[Instruction], context: Path) -> None:
    """Do what the instructions say. Stages share one root: what one copies of another is there."""
    workdir, arguments = "/", dict[str, str]()
    for step in instructions:
        if step.name == "WORKDIR":
            workdir = step.words
            root.run(f"mkdir -p {workdir}")
        elif step.name == "FROM":
            workdir = "/"
        elif step.name == "ARG":
            arguments |= dict([step.words.split("=", 1)])
        elif step.name == "COPY":
            *sources, target = step.paths()
            for source in sources:
                _copy(root, step, context, source, f"{workdir}/{target}")
        elif step.name == "RUN":
            done = root.run(step.words, workdir=workdir, **arguments)
            if done.returncode and "apt-get" in step.words:
                pytest.skip(f"Debian's packages cannot be had: {done.stderr.strip()[-300:]}")
            assert done.returncode == 0, step.words + done.stdout + done.stderr


def _copy(root: Root, step: Instruction, context: Path, source: str, target: str) -> None:
    if step.flags():
        assert root.run(f"test -e {source}").returncode == 0, step.words
        return
    root.run(f"mkdir -p {target}")
    root.copy(context / source, target)
