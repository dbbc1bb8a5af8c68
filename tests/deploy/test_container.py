"""deploy/Containerfile and compose.yaml: the image's steps, and what runs in it."""

import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from support.checkout import REPOSITORY, clone
from support.container import ENVIRONMENT, build, layered_root
from support.containerfile import read
from support.eventually import eventually

DEPLOY = REPOSITORY / "deploy"
INSTRUCTIONS = read(DEPLOY / "Containerfile")
(SERVICE,) = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values()
UP = "import fcntl, socket; fcntl.ioctl(socket.socket(), 0x8914, b'lo'.ljust(16, b'\\0') + b'A\\0')"
# Its own processes and its own network, a root that is read only, and a user that is not root.
RUN = """
mount -t proc proc "$1/proc"
mount --rbind "$1" "$1"
mount -o remount,bind,ro "$1"
shift
exec "$@"
"""


def last(name):
    return [each.words for each in INSTRUCTIONS if each.name == name][-1]


def as_the_user(root, *command):
    inside = 'cd "$0" && exec "$@"'
    user = last("USER")
    change = ["chroot", f"--userspec={user}:{user}", str(root.folder)]
    environ = [f"{name}={value}" for name, value in ENVIRONMENT.items() if name == "PATH"]
    environ.append("STREAM_API_KEY=demo-key")
    return [*change, "env", "-i", *environ, "sh", "-c", inside, last("WORKDIR"), *command]


class Container:
    def __init__(self, root, log):
        self._root = root
        command = json.loads(last("ENTRYPOINT")) + json.loads(last("CMD"))
        up = ["chroot", str(root.folder), "python", "-c", UP]
        script = f'{" ".join(up[:-1])} "$0"\n{RUN}'
        alone = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec"]
        with log.open("wb") as out:
            self.outer = subprocess.Popen(
                root.enter(*alone, script, UP, f"{root.folder}", *as_the_user(root, *command)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=ENVIRONMENT,
            )

    def first_process(self):
        """The one that is number 1 inside, by its number out here."""
        pids = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
        return int(pids[0]) if pids else None

    def execute(self, *command):
        """As `docker exec`."""
        inside = ["nsenter", f"--target={self.first_process()}", "--net", "--pid", "--"]
        return subprocess.run(
            [*self._root.enter(), *inside, *as_the_user(self._root, *command)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@contextmanager
def container(root, log):
    one = Container(root, log)
    try:
        yield one
    finally:
        one.outer.kill()
        one.outer.wait()


@pytest.fixture
def image(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root makes mounts")
    (tmp_path / "layer").mkdir()
    context = clone(tmp_path / "context")
    with layered_root(tmp_path / "layer") as root:
        build(root, INSTRUCTIONS, context)
        (volume,) = (each.words for each in INSTRUCTIONS if each.name == "VOLUME")
        shared = root.run(f"mount -t tmpfs -o uid=10001,mode=700 none {volume}")
        assert shared.returncode == 0, shared.stderr
        root.copy(DEPLOY / "container.yaml", "/etc/gateway/config.yaml")
        root.run("mkdir -p /run/secrets; printf demo-secret > /run/secrets/stream_secret")
        yield root


@pytest.mark.hard
@pytest.mark.timeout(900)  # Debian's packages, a compiler and pip, on a busy machine
async def test_the_image_takes_webhooks_as_its_user_and_ends_in_good_order(image, tmp_path):
    """Built step by step and run as compose.yaml says (its configuration, a read-only root, its
    check of health), it takes what is sent, and everything adds up, before its end and after it.
    """
    with container(image, tmp_path / "log") as running:
        healthy = SERVICE["healthcheck"]["test"]
        assert healthy[0] == "CMD"

        def is_healthy():
            said = (tmp_path / "log").read_text()
            assert running.outer.poll() is None, said
            return running.first_process() and running.execute(*healthy[1:]).returncode == 0

        await eventually(is_healthy, within_s=100)
        sent = running.execute("gateway", "send")
        assert sent.returncode == 0, sent.stdout + sent.stderr

        def everything_arrived():
            told = running.execute("gateway", "ledger", "--json")
            account = json.loads(told.stdout)["subscribers"]["console"]
            return told.returncode == 0 and account["delivered"] == 21

        await eventually(everything_arrived, within_s=100)
        os.kill(running.first_process(), signal.SIGTERM)
        assert running.outer.wait(timeout=100) == 0
    said = (tmp_path / "log").read_text()
    assert "left_in_journal=0" in said
    assert "demo-secret" not in said
    ledger = subprocess.run(
        image.enter(*as_the_user(image, "gateway", "ledger")),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "what subscribers were to get adds up" in ledger.stdout, ledger.stdout + ledger.stderr
    assert ledger.returncode == 0
