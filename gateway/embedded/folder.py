"""The engine's place on disk: `<data_dir>/valkey`, and a socket with a path short enough.

The kernel takes socket paths of about a hundred bytes only. A longer one moves to a private
folder elsewhere; `socket.path` always tells where the socket is, so that commands find it.
"""

import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.errors import EmbeddedEngineError

# sun_path holds 108 bytes on Linux and 104 on macOS, the closing NUL included.
_MAX_SOCKET_PATH_BYTES = 103
_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of one engine. Making one touches nothing."""

    path: Path

    @classmethod
    def of(cls, data_dir: Path) -> "Folder":
        return cls(data_dir.absolute() / "valkey")

    @property
    def owner_lock(self) -> Path:
        return self.path / "owner.lock"

    @property
    def server_lock(self) -> Path:
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        return self.path / "valkey.log"

    @property
    def data(self) -> Path:
        """Where the server keeps its append-only file."""
        return self.path / "appendonlydir"

    @property
    def _note(self) -> Path:
        return self.path / "socket.path"

    def make(self) -> None:
        """Create the folder, readable by its owner only. Raises `EmbeddedEngineError`."""
        try:
            self.path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedEngineError(f"cannot create {self.path}: {error.strerror}") from error

    def note_socket(self, socket: Path) -> None:
        """Write down where the socket is; a reader sees the old place or the new one."""
        draft = self._note.with_suffix(".new")
        draft.write_bytes(os.fsencode(socket))
        draft.replace(self._note)

    def noted_socket(self) -> Path | None:
        """Return the socket's place as its owner wrote it down, None when nobody did."""
        try:
            return Path(os.fsdecode(self._note.read_bytes()))
        except OSError:  # nobody ran here, or it is not for us to see
            return None

    def forget_socket(self) -> None:
        """Take the note, the socket and its folder elsewhere away, after the server ended."""
        socket = self.noted_socket()
        self._note.unlink(missing_ok=True)
        if socket is None:
            return
        socket.unlink(missing_ok=True)
        if socket.parent != self.path:
            with suppress(OSError):
                socket.parent.rmdir()


def place_socket(folder: Folder, environ: Mapping[str, str]) -> Path:
    """Return a path for the socket that the kernel takes, in a folder that only we can enter."""
    near = folder.path / "valkey.sock"
    if _fits(near):
        return near
    name = f"gateway-{os.getuid()}-{sha256(os.fsencode(folder.path)).hexdigest()[:12]}"
    runtime = environ.get("XDG_RUNTIME_DIR")
    for base in (Path(runtime),) if runtime else ():
        socket = base / name / "valkey.sock"
        if _fits(socket) and _is_ours(socket.parent):
            return socket
    # Anybody may write to /tmp: a folder there that is not ours alone is left to whoever made it.
    socket = Path("/tmp", name, "valkey.sock")  # noqa: S108
    if _is_ours(socket.parent):
        return socket
    return Path(tempfile.mkdtemp(prefix="gateway-", dir="/tmp"), "valkey.sock")


def _fits(socket: Path) -> bool:
    return len(os.fsencode(socket)) <= _MAX_SOCKET_PATH_BYTES


def _is_ours(path: Path) -> bool:
    """Make the folder if need be; tell whether it is a real one that nobody else can enter."""
    try:
        path.mkdir(mode=_PRIVATE, exist_ok=True)
        found = path.lstat()
    except OSError:
        return False
    private = stat.S_IMODE(found.st_mode) == _PRIVATE
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and private


def holds_data(data_dir: Path) -> bool:
    """Whether a server has ever kept anything in `data_dir`."""
    return Folder.of(data_dir).data.is_dir()


def discard_data(data_dir: Path) -> None:
    """Delete what the server has kept, which is not running any more. Raises OSError."""
    shutil.rmtree(Folder.of(data_dir).data)
