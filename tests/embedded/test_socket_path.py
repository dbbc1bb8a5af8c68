"""Places that hold no socket, and file systems without locks."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
import yaml
from support.ports import free_port
from support.refusing import refusing

from gateway.embedded.folder import Folder
from gateway.embedded.socket_path import place_socket

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD is Linux's"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler"),
]

# Starts an engine; says where its socket was, or why there is none.
ENGINE = """
    import asyncio, sys
    from pathlib import Path
    from gateway.embedded import EmbeddedEngine
    from gateway.errors import EmbeddedEngineError
    async def main():
        engine = EmbeddedEngine(Path(sys.argv[1]), max_memory_bytes=1 << 26)
        try:
            await engine.start()
        except EmbeddedEngineError as error:
            print(error)
            return
        assert await engine.wait_ready(60), engine.last_words()
        print(engine.url)
        await engine.stop()
    asyncio.run(main())
"""


def start_engine(data_dir: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ENGINE), str(data_dir)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def runtime():
    """A folder with a path that is short enough."""
    folder = Path(tempfile.mkdtemp(prefix="gw-r-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


CODES = (errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL, errno.EACCES, errno.EROFS)


@pytest.mark.parametrize("code", CODES)
def test_where_data_dir_holds_no_socket_another_place_does(tmp_path, runtime, code):
    """The server runs, its socket is in the next place, and nothing is left there afterwards."""
    data_dir = tmp_path / "d"
    refuses = {"REFUSE_BIND_IN": str(data_dir), "REFUSE_BIND_WITH": str(code)}
    environ = refusing(tmp_path, **refuses, XDG_RUNTIME_DIR=str(runtime))
    assert start_engine(data_dir, environ).startswith(f"unix://{runtime}/gateway-")
    assert list(runtime.iterdir()) == []
    assert not (data_dir / "valkey" / "probe.sock").exists()


def test_where_no_place_holds_one_it_is_said_at_once(tmp_path):
    """With every place that was tried, and what to do; the directory is let go of."""
    data_dir = tmp_path / "d"
    refuses = {"REFUSE_BIND_IN": "/", "REFUSE_BIND_WITH": str(errno.EPERM)}
    environ = refusing(tmp_path, **refuses)
    environ.pop("XDG_RUNTIME_DIR", None)
    told = start_engine(data_dir, environ)
    assert f"{data_dir}/valkey (Operation not permitted)" in told
    assert "/tmp/gateway-" in told
    assert "Put data_dir on a disk of this machine" in told
    places = [word for word in told.replace(",", "").split() if word.startswith("/tmp/gateway-")]
    assert not any(Path(place).exists() for place in places)
    del environ["LD_PRELOAD"]
    assert start_engine(data_dir, environ).endswith("valkey.sock")


def test_a_folder_that_others_can_enter_is_passed_over(tmp_path, runtime):
    """Whoever can enter it could put a socket of his own there."""
    folder = Folder.of(tmp_path / ("long" * 30))
    folder.make()
    environ = {"XDG_RUNTIME_DIR": str(runtime)}
    first = place_socket(folder, environ)
    assert first.parent.parent == runtime
    first.parent.chmod(0o755)
    second = place_socket(folder, environ)
    assert second.parent.parent == Path("/tmp")
    assert stat.S_IMODE(second.parent.stat().st_mode) == 0o700
    second.parent.rmdir()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("redis", ["embedded", "unix:///nowhere.sock"])
@pytest.mark.parametrize("command", ["run", "ledger"])
def test_a_file_system_without_locks_is_told_in_a_sentence(tmp_path, code, redis, command):
    """Whoever needs the directory says so, ends with 1, and shows no traceback."""
    config = {
        "server": {"port": free_port()},
        "admin": {"port": free_port()},
        "data_dir": str(tmp_path / "data"),
        "apps": [{"api_key": "demo-key", "secrets": ["demo-secret"]}],
        "redis": {"url": redis},
    }
    (tmp_path / "data").mkdir()
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, "-m", "gateway", command, "--config", "config.yaml"],
        cwd=tmp_path,
        env=refusing(tmp_path, REFUSE_FLOCK_WITH=str(code)),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    if command == "run" or redis == "embedded":
        assert f"has no locks (flock: {os.strerror(code)}): put data_dir on a disk of" in said
